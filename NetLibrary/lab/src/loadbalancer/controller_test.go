package loadbalancer

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func yes() *bool { t := true; return &t }
func no() *bool  { f := false; return &f }

func node(name, address string, ready v1.ConditionStatus) *v1.Node {
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: v1.NodeStatus{
			Addresses:  []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: address}},
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: ready}},
		},
	}
}

func endpoint(nodeName string, ready, serving *bool) discovery.Endpoint {
	return discovery.Endpoint{NodeName: &nodeName, Conditions: discovery.EndpointConditions{Ready: ready, Serving: serving}}
}

// world is a controller that sees the given nodes and endpoints of the Service "default/web".
func world(t *testing.T, nodes []*v1.Node, endpoints ...discovery.Endpoint) *controller {
	t.Helper()
	keep := func(objects ...any) cache.Indexer {
		indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
		for _, object := range objects {
			if err := indexer.Add(object); err != nil {
				t.Fatal(err)
			}
		}
		return indexer
	}
	var all []any
	for _, n := range nodes {
		all = append(all, n)
	}
	slice := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discovery.LabelServiceName: "web"}},
		Endpoints:  endpoints,
	}
	pool, err := newAllocator([]string{"198.18.1.0/30", "fd00::/126"})
	if err != nil {
		t.Fatal(err)
	}
	return &controller{
		allocator: pool,
		routes:    &routingTable{current: map[netip.Addr]netip.Addr{}},
		health:    newHealth(1, time.Second),
		nodes:     corelisters.NewNodeLister(keep(all...)),
		slices:    discoverylisters.NewEndpointSliceLister(keep(slice)),
		changed:   make(chan struct{}, 1),
		given:     map[types.UID][]netip.Addr{},
	}
}

func service(policy v1.ServiceExternalTrafficPolicy) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       v1.ServiceSpec{Type: v1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: policy},
	}
}

var three = []*v1.Node{
	node("node1", "198.18.0.1", v1.ConditionTrue),
	node("node2", "198.18.0.2", v1.ConditionTrue),
	node("node3", "198.18.0.3", v1.ConditionTrue),
}

func TestAddressesAreDistinctAndThePoolEnds(t *testing.T) {
	pool, _ := newAllocator([]string{"198.18.1.0/30"})
	used := map[netip.Addr]bool{}
	for _, expected := range []string{"198.18.1.1", "198.18.1.2", "198.18.1.3"} {
		address, err := pool.pick(false, "", used)
		if err != nil || address != addr(expected) {
			t.Fatalf("got %s, %v; expected %s", address, err, expected)
		}
		used[address] = true
	}
	if _, err := pool.pick(false, "", used); err == nil {
		t.Fatal("an address was handed out twice")
	}
	if _, err := pool.pick(true, "", used); !errors.Is(err, errNoPool) {
		t.Fatalf("a family without a pool gave %v", err)
	}
}

func TestAnAddressThatWasJustFreedIsNotGivenOutNext(t *testing.T) {
	pool, _ := newAllocator([]string{"198.18.1.0/29"})
	for _, expected := range []string{"198.18.1.1", "198.18.1.2", "198.18.1.3"} {
		if address, err := pool.pick(false, "", map[netip.Addr]bool{}); err != nil || address != addr(expected) {
			t.Fatalf("got %s, %v; expected %s", address, err, expected)
		}
	}
}

func TestAnAddressIsNotGivenTwiceWhileTheCacheIsLate(t *testing.T) {
	c := world(t, three)
	first, second := service(""), service("")
	first.UID, second.UID = "first", "second"
	c.given[first.UID] = []netip.Addr{addr("198.18.1.1")} // its status is written and not seen yet
	used := c.inUse([]*v1.Service{first, second})
	if !used[addr("198.18.1.1")] {
		t.Fatal("the address counts as free")
	}
	c.inUse([]*v1.Service{second})
	if len(c.given) != 0 {
		t.Fatal("the address of a deleted Service is kept for ever")
	}
}

func TestServicesOfTheSameSecondHaveOneOrder(t *testing.T) {
	a, b := service(""), service("")
	a.Name, b.Name = "a", "b"
	if !older(a, b) || older(b, a) {
		t.Fatal("the order is open")
	}
}

func TestRequestedAddressIsHonouredOrRefused(t *testing.T) {
	pool, _ := newAllocator([]string{"198.18.1.0/24"})
	used := map[netip.Addr]bool{addr("198.18.1.9"): true}
	if address, err := pool.pick(false, "198.18.1.7", used); err != nil || address != addr("198.18.1.7") {
		t.Fatalf("got %s, %v", address, err)
	}
	for _, wanted := range []string{"198.18.1.9", "10.0.0.1", "nonsense"} {
		if address, err := pool.pick(false, wanted, used); err == nil {
			t.Errorf("%s was given out as %s", wanted, address)
		}
	}
}

func TestBadPoolIsRefused(t *testing.T) {
	if _, err := newAllocator([]string{"198.18.1.0"}); err == nil {
		t.Fatal("a pool without a prefix length was taken")
	}
}

func TestLocalPolicyEntersOnlyWhereAnEndpointIs(t *testing.T) {
	c := world(t, three, endpoint("node2", yes(), yes()), endpoint("node3", no(), no()))
	via, found := c.entry(service(v1.ServiceExternalTrafficPolicyLocal), addr("198.18.1.1"))
	if !found || via != addr("198.18.0.2") {
		t.Fatalf("enters at %s (%v)", via, found)
	}
	c = world(t, three)
	if via, found := c.entry(service(v1.ServiceExternalTrafficPolicyLocal), addr("198.18.1.1")); found {
		t.Fatalf("enters at %s although there is no endpoint", via)
	}
}

func TestLocalPolicyServesTerminatingEndpointsThatStillServe(t *testing.T) {
	c := world(t, three, endpoint("node3", no(), yes()))
	if via, _ := c.entry(service(v1.ServiceExternalTrafficPolicyLocal), addr("198.18.1.1")); via != addr("198.18.0.3") {
		t.Fatalf("enters at %s", via)
	}
}

func TestEntryStaysUntilItsNodeIsGoneOrIll(t *testing.T) {
	c, web, address := world(t, three), service(v1.ServiceExternalTrafficPolicyCluster), addr("198.18.1.1")
	for _, current := range []string{"198.18.0.1", "198.18.0.2", "198.18.0.3"} {
		c.routes.current[address] = addr(current)
		if via, _ := c.entry(web, address); via != addr(current) {
			t.Fatalf("moved from %s to %s without need", current, via)
		}
	}
	for range failuresUntilBad {
		c.health.record("node3", errors.New("refused"))
	}
	if via, _ := c.entry(web, address); via == addr("198.18.0.3") {
		t.Fatal("stays at a node whose kube-proxy is ill")
	}
	c.health.record("node3", nil)
	if !c.health.good("node3") {
		t.Fatal("a node that is well again is still avoided")
	}
}

func TestNodesNotReadyOrExcludedAreAvoided(t *testing.T) {
	excluded := node("node1", "198.18.0.1", v1.ConditionTrue)
	excluded.Labels = map[string]string{v1.LabelNodeExcludeBalancers: ""}
	nodes := []*v1.Node{excluded, node("node2", "198.18.0.2", v1.ConditionUnknown), three[2]}
	c := world(t, nodes)
	if via, _ := c.entry(service(v1.ServiceExternalTrafficPolicyCluster), addr("198.18.1.1")); via != addr("198.18.0.3") {
		t.Fatalf("enters at %s", via)
	}
}

func TestEntryIsOfTheFamilyOfTheAddress(t *testing.T) {
	dual := node("node1", "198.18.0.1", v1.ConditionTrue)
	dual.Status.Addresses = append(dual.Status.Addresses, v1.NodeAddress{Type: v1.NodeInternalIP, Address: "fd00:1::1"})
	c := world(t, []*v1.Node{dual})
	if via, _ := c.entry(service(v1.ServiceExternalTrafficPolicyCluster), addr("fd00::1")); via != addr("fd00:1::1") {
		t.Fatalf("enters at %s", via)
	}
}

func TestOneFailedCheckDoesNotMoveTraffic(t *testing.T) {
	h := newHealth(1, time.Second)
	if h.record("node1", errors.New("refused")) || !h.good("node1") {
		t.Fatal("one failure was enough")
	}
}

func TestServicesOfOtherClassesAreNotServed(t *testing.T) {
	other, own := "example.org/other", Class
	web := service("")
	for class, expected := range map[*string]bool{nil: true, &own: true, &other: false} {
		web.Spec.LoadBalancerClass = class
		if mine(web) != expected {
			t.Errorf("class %v", class)
		}
	}
	web.Spec.LoadBalancerClass, web.Spec.Type = nil, v1.ServiceTypeClusterIP
	if mine(web) {
		t.Error("a Service of another type")
	}
}
