// flanneld of the lab: flannel's own packages with its VXLAN and host-gw backends.
//
// Upstream's main also links the backends of clouds, whose kits are large and not on every module proxy. What decides
// about packets is upstream's; the flags are those of upstream that a DaemonSet for Kubernetes gives.
package main

import (
	"context"
	"flag"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"k8s.io/klog/v2"
)

const (
	configuration = "/etc/kube-flannel/net-conf.json"
	subnetFile    = "/run/flannel/subnet.env"
	annotations   = "flannel.alpha.coreos.com"
	resyncSeconds = 5
)

func main() {
	masquerade := flag.Bool("ip-masq", false, "masquerade what leaves the pod network")
	flag.Bool("kube-subnet-mgr", true, "leases come from the API server; the only way here")
	health := flag.Int("healthz-port", 0, "port of /healthz and /readyz; 0 for none")
	klog.InitFlags(nil)
	flag.Parse()
	if err := run(*masquerade, *health); err != nil {
		klog.Error(err)
		os.Exit(1)
	}
}

func run(masquerade bool, health int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var ready atomic.Bool
	if health > 0 {
		go serveHealth(health, &ready)
	}
	leases, err := kube.NewSubnetManager(ctx, "", "", annotations, configuration, false)
	if err != nil {
		return err
	}
	config, err := leases.GetNetworkConfig(ctx)
	if err != nil {
		return err
	}
	var jobs sync.WaitGroup
	network, err := join(ctx, &jobs, leases, config)
	if err != nil {
		return err
	}
	if err := program(ctx, config, network, masquerade); err != nil {
		return err
	}
	lease := network.Lease()
	if err := leases.HandleSubnetFile(subnetFile, config, masquerade, lease.Subnet, lease.IPv6Subnet, network.MTU()); err != nil {
		return err
	}
	ready.Store(true)
	jobs.Add(1)
	go func() {
		defer jobs.Done()
		network.Run(ctx)
	}()
	// Returns at once where leases are the API server's; only an error means that the lease is lost
	if err := leases.CompleteLease(ctx, lease, &jobs); err != nil {
		stop()
		jobs.Wait()
		return err
	}
	jobs.Wait()
	return nil
}

// join takes a lease for this node and sets the backend's device or routes up.
func join(ctx context.Context, jobs *sync.WaitGroup, leases subnet.Manager, config *subnet.Config) (backend.Network, error) {
	family, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return nil, err
	}
	v4, v6 := leases.GetStoredPublicIP(ctx)
	link, err := ipmatch.LookupExtIface(v4, "", "", family, ipmatch.PublicIPOpts{PublicIP: v4, PublicIPv6: v6})
	if err != nil {
		return nil, err
	}
	kind, err := backend.NewManager(ctx, leases, link).GetBackend(config.BackendType)
	if err != nil {
		return nil, err
	}
	return kind.RegisterNetwork(ctx, jobs, config)
}

// program writes the rules for forwarding and masquerading, in the one of two firewalls that the configuration names.
func program(ctx context.Context, config *subnet.Config, network backend.Network, masquerade bool) error {
	var used, unused trafficmngr.TrafficManager = &iptables.IPTablesManager{}, &nftables.NFTablesManager{}
	if config.EnableNFTables {
		used, unused = unused, used
	}
	if err := unused.CleanUp(ctx); err != nil {
		return err
	}
	if err := used.Init(ctx); err != nil {
		return err
	}
	if masquerade {
		// With the ranges of the run before, rules that are still right stay untouched over a restart
		subnet, all := written("FLANNEL_SUBNET"), written("FLANNEL_NETWORK")
		err := used.SetupAndEnsureMasqRules(ctx, config.Network, subnet, all, config.IPv6Network, ip.IP6Net{}, ip.IP6Net{}, network.Lease(), resyncSeconds, false)
		if err != nil {
			return err
		}
	}
	used.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, resyncSeconds)
	return nil
}

// written returns a range that the run before wrote into the subnet file; an empty one where there was none.
func written(key string) (found ip.IP4Net) {
	content, err := os.ReadFile(subnetFile)
	if err != nil {
		return
	}
	for line := range strings.SplitSeq(string(content), "\n") {
		if text, ok := strings.CutPrefix(line, key+"="); ok {
			if _, network, err := net.ParseCIDR(text); err == nil {
				found = ip.FromIPNet(network)
			}
		}
	}
	return
}

func serveHealth(port int, ready *atomic.Bool) {
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/readyz", func(answer http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	klog.Fatal(http.ListenAndServe(":"+strconv.Itoa(port), nil))
}
