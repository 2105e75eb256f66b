package loadbalancer

import (
	"context"
	"errors"
	"hash/fnv"
	"net/netip"
	"sort"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Class is the loadBalancerClass that names this controller; a Service without a class is served too.
const Class = "netlibrary.io/lab"

// settle is how long changes are gathered before they are acted on: rollouts come in bursts.
const settle = 20 * time.Millisecond

var errNoPool = errors.New("no pool for the address family")

type controller struct {
	client    kubernetes.Interface
	allocator *allocator
	routes    *routingTable
	health    *health
	factory   informers.SharedInformerFactory
	services  corelisters.ServiceLister
	nodes     corelisters.NodeLister
	slices    discoverylisters.EndpointSliceLister
	changed   chan struct{}
	given     map[types.UID][]netip.Addr // what this process has given out and the cache may not show yet
}

func newController(client kubernetes.Interface, a *allocator, r *routingTable, h *health) *controller {
	factory := informers.NewSharedInformerFactory(client, 0)
	return &controller{
		client: client, allocator: a, routes: r, health: h, factory: factory,
		services: factory.Core().V1().Services().Lister(),
		nodes:    factory.Core().V1().Nodes().Lister(),
		slices:   factory.Discovery().V1().EndpointSlices().Lister(),
		changed:  make(chan struct{}, 1),
		given:    map[types.UID][]netip.Addr{},
	}
}

func (c *controller) notify() {
	select {
	case c.changed <- struct{}{}:
	default: // a pass is due already
	}
}

func (c *controller) run(ctx context.Context) error {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.notify() },
		UpdateFunc: func(any, any) { c.notify() },
		DeleteFunc: func(any) { c.notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		c.factory.Core().V1().Services().Informer(),
		c.factory.Core().V1().Nodes().Informer(),
		c.factory.Discovery().V1().EndpointSlices().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	c.factory.Start(ctx.Done())
	c.factory.WaitForCacheSync(ctx.Done())
	go c.health.watch(ctx, c.nodeAddresses, c.notify)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.changed:
			time.Sleep(settle)
			if !c.pass(ctx) {
				time.AfterFunc(time.Second, c.notify)
			}
		}
	}
}

// pass brings statuses and routes in line with the Services; false asks for another try.
func (c *controller) pass(ctx context.Context) bool {
	services, err := c.services.List(labels.Everything())
	if err != nil {
		klog.ErrorS(err, "Cannot list the Services")
		return false
	}
	sort.Slice(services, func(i, j int) bool { return older(services[i], services[j]) })
	used := c.inUse(services)
	wanted, complete := map[netip.Addr]netip.Addr{}, true
	for _, service := range services {
		addresses, err := c.ensure(ctx, service, used)
		if err != nil {
			complete = false
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				klog.ErrorS(err, "Cannot serve the Service", "service", klog.KObj(service))
			}
		}
		for _, address := range addresses {
			if via, found := c.entry(service, address); found {
				wanted[address] = via
			}
		}
	}
	return c.routes.replace(wanted) && complete
}

// older orders Services by age; those of the same second by name, so that every pass sees the same order.
func older(a, b *v1.Service) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}

// inUse returns the addresses that are not free: those in the statuses, and those that were given out so lately that
// the cache does not show them yet. Two Services would get the same address without the latter.
func (c *controller) inUse(services []*v1.Service) map[netip.Addr]bool {
	used, alive := map[netip.Addr]bool{}, map[types.UID]bool{}
	for _, service := range services {
		alive[service.UID] = true
		for _, address := range c.held(service) {
			used[address] = true
		}
	}
	for uid, addresses := range c.given {
		if !alive[uid] {
			delete(c.given, uid)
			continue
		}
		for _, address := range addresses {
			used[address] = true
		}
	}
	return used
}

func mine(service *v1.Service) bool {
	return service.Spec.Type == v1.ServiceTypeLoadBalancer && service.DeletionTimestamp == nil &&
		(service.Spec.LoadBalancerClass == nil || *service.Spec.LoadBalancerClass == Class)
}

// held returns the addresses of the pools that the Service's status names.
func (c *controller) held(service *v1.Service) (addresses []netip.Addr) {
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if address, err := netip.ParseAddr(ingress.IP); err == nil && c.allocator.contains(address) {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// ensure gives the Service an address of each of its families, or takes them back when it is no LoadBalancer any more.
func (c *controller) ensure(ctx context.Context, service *v1.Service, used map[netip.Addr]bool) ([]netip.Addr, error) {
	held := c.held(service)
	if !mine(service) {
		delete(c.given, service.UID)
		if len(held) == 0 {
			return nil, nil
		}
		return nil, c.publish(ctx, service, nil)
	}
	if len(held) == 0 {
		held = c.given[service.UID] // given in an earlier pass, and the cache is late
	}
	var addresses []netip.Addr
	for _, family := range service.Spec.IPFamilies {
		v6, kept := family == v1.IPv6Protocol, false
		for _, address := range held {
			if address.Is6() == v6 {
				addresses, kept = append(addresses, address), true
			}
		}
		if kept {
			continue
		}
		wish := service.Spec.LoadBalancerIP
		if parsed, err := netip.ParseAddr(wish); err == nil && parsed.Is6() != v6 {
			wish = ""
		}
		address, err := c.allocator.pick(v6, wish, used)
		if errors.Is(err, errNoPool) {
			continue
		}
		if err != nil {
			return addresses, err
		}
		used[address] = true
		addresses = append(addresses, address)
	}
	if len(addresses) == len(c.held(service)) {
		return addresses, nil
	}
	c.given[service.UID] = addresses
	return addresses, c.publish(ctx, service, addresses)
}

func (c *controller) publish(ctx context.Context, service *v1.Service, addresses []netip.Addr) error {
	mode := v1.LoadBalancerIPModeVIP
	update := service.DeepCopy()
	update.Status.LoadBalancer.Ingress = nil
	for _, address := range addresses {
		update.Status.LoadBalancer.Ingress = append(update.Status.LoadBalancer.Ingress,
			v1.LoadBalancerIngress{IP: address.String(), IPMode: &mode})
	}
	_, err := c.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, update, metav1.UpdateOptions{FieldManager: "load-balancer"})
	return err
}

// entry chooses the node at which traffic for the address enters. The present one stays as long as it will do, so
// that a change elsewhere does not move connections; otherwise the Services spread over the nodes by their names.
func (c *controller) entry(service *v1.Service, address netip.Addr) (netip.Addr, bool) {
	nodes, err := c.nodes.List(labels.Everything())
	if err != nil {
		return netip.Addr{}, false
	}
	local := service.Spec.ExternalTrafficPolicy == v1.ServiceExternalTrafficPolicyLocal
	endpoints := map[string]bool{}
	if local {
		endpoints = c.nodesWithEndpoint(service)
	}
	current, best, rank := c.routes.via(address), netip.Addr{}, uint32(0)
	for _, node := range nodes {
		via, found := internalAddress(node, address.Is6())
		if !found || local && !endpoints[node.Name] || !c.eligible(node) {
			continue
		}
		if via == current {
			return via, true
		}
		if r := weight(service.Namespace + "/" + service.Name + "@" + node.Name); !best.IsValid() || r > rank {
			best, rank = via, r
		}
	}
	return best, best.IsValid()
}

// eligible tells whether a node may take traffic from outside: Ready, not excluded by label, kube-proxy healthy.
func (c *controller) eligible(node *v1.Node) bool {
	if _, excluded := node.Labels[v1.LabelNodeExcludeBalancers]; excluded {
		return false
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == v1.NodeReady && condition.Status != v1.ConditionTrue {
			return false
		}
	}
	return c.health.good(node.Name)
}

// nodesWithEndpoint returns the nodes that have an endpoint kube-proxy sends external traffic to under the policy
// Local: ready ones, or serving ones that terminate where a node has no ready one.
func (c *controller) nodesWithEndpoint(service *v1.Service) map[string]bool {
	selector := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: service.Name})
	slices, _ := c.slices.EndpointSlices(service.Namespace).List(selector)
	found := map[string]bool{}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			serving := endpoint.Conditions.Serving != nil && *endpoint.Conditions.Serving
			if endpoint.NodeName != nil && (ready || serving) {
				found[*endpoint.NodeName] = true
			}
		}
	}
	return found
}

// nodeAddresses returns the address at which each node's health is asked for.
func (c *controller) nodeAddresses() map[string]string {
	nodes, _ := c.nodes.List(labels.Everything())
	addresses := map[string]string{}
	for _, node := range nodes {
		if address, found := internalAddress(node, false); found {
			addresses[node.Name] = address.String()
		}
	}
	return addresses
}

func internalAddress(node *v1.Node, v6 bool) (netip.Addr, bool) {
	for _, candidate := range node.Status.Addresses {
		if candidate.Type != v1.NodeInternalIP {
			continue
		}
		if address, err := netip.ParseAddr(candidate.Address); err == nil && address.Is6() == v6 {
			return address, true
		}
	}
	return netip.Addr{}, false
}

func weight(text string) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(text)) // never fails
	return hash.Sum32()
}
