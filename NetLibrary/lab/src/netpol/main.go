// Package netpol enforces NetworkPolicies on one node of a lab: an agent in the node's network namespace turns the
// API objects into one nftables table and replaces it as a whole, in one transaction, whenever they change.
//
// The table hooks into forwarding. There a packet has been through DNAT (so a Service's packets show the pod that gets
// them) and not yet through SNAT (so the client's address is still its own). Packets between two pods of one node
// cross the bridge; br_netfilter leads them through the same hook. Packets between a node and its own pods are never
// forwarded, which is what Kubernetes wants: kubelet's probes always pass.
package netpol

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// settle is how long changes are collected before they are put into force: many objects change together.
	settle = 20 * time.Millisecond
	// again is when a transaction that nft refused is tried anew.
	again = time.Second
)

// Main runs the agent until it is told to end. The rules stay in force after it: a crash must not open the node.
func Main(arguments []string) error {
	flags := flag.NewFlagSet("netpol", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "credentials for the API server")
	node := flags.String("node", "", "name of the node whose pods are protected")
	print := flags.Bool("print", false, "print the rules that would be put into force once, and end")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *node == "" {
		return errors.New("--node is missing")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if !*print {
		if err := bridgeIntoFirewall(); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return newAgent(client, *node).run(ctx, *print)
}

// bridgeIntoFirewall has packets between pods of one node pass the forward hook. The switches are per network
// namespace, and this process runs in the node's.
func bridgeIntoFirewall() error {
	for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		path := "/proc/sys/net/bridge/" + name
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("NetworkPolicies between pods of one node need the kernel module br_netfilter: %w", err)
		}
	}
	return nil
}

type agent struct {
	node    string
	factory informers.SharedInformerFactory
	changed chan struct{}
}

func newAgent(client kubernetes.Interface, node string) *agent {
	return &agent{node: node, factory: informers.NewSharedInformerFactory(client, 0), changed: make(chan struct{}, 1)}
}

func (a *agent) run(ctx context.Context, print bool) error {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { a.notice() },
		UpdateFunc: func(any, any) { a.notice() },
		DeleteFunc: func(any) { a.notice() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		a.factory.Core().V1().Pods().Informer(),
		a.factory.Core().V1().Namespaces().Informer(),
		a.factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	a.factory.Start(ctx.Done())
	for kind, synced := range a.factory.WaitForCacheSync(ctx.Done()) {
		if !synced && ctx.Err() == nil {
			return fmt.Errorf("the API server does not list %s", kind)
		}
	}
	if print {
		rules, err := a.rules()
		fmt.Print(rules)
		return err
	}
	return a.enforce(ctx)
}

func (a *agent) notice() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// enforce puts the rules into force whenever they differ from those in force.
func (a *agent) enforce(ctx context.Context) error {
	var inForce string
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
		case <-retry.C:
		}
		time.Sleep(settle)
		rules, err := a.rules()
		if err == nil && rules == inForce {
			continue
		}
		start := time.Now()
		if err == nil {
			err = load(ctx, rules)
		}
		if err != nil {
			klog.ErrorS(err, "The NetworkPolicies could not be put into force")
			retry.Reset(again)
			continue
		}
		inForce = rules
		klog.InfoS("NetworkPolicies in force", "node", a.node, "lines", strings.Count(rules, "\n"), "took", time.Since(start))
	}
}

func (a *agent) rules() (string, error) {
	var state cluster
	var err error
	if state.pods, err = a.factory.Core().V1().Pods().Lister().List(labels.Everything()); err != nil {
		return "", err
	}
	if state.namespaces, err = a.factory.Core().V1().Namespaces().Lister().List(labels.Everything()); err != nil {
		return "", err
	}
	if state.policies, err = a.factory.Networking().V1().NetworkPolicies().Lister().List(labels.Everything()); err != nil {
		return "", err
	}
	return render(compile(state, a.node)), nil
}

// load replaces the table in one transaction: no packet meets half of the rules.
func load(ctx context.Context, rules string) error {
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}
