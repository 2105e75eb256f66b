package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The world of the truth tables: namespaces x, y, z with pods a, b, c; pod number n of namespace m is 10.0.m.n.
var spaces, names = []string{"x", "y", "z"}, []string{"a", "b", "c"}

func world(policies ...*networking.NetworkPolicy) cluster {
	state := cluster{policies: policies}
	for m, space := range spaces {
		state.namespaces = append(state.namespaces, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: space, Labels: map[string]string{"ns": space}}})
		for n, name := range names {
			state.pods = append(state.pods, &core.Pod{
				ObjectMeta: meta.ObjectMeta{Namespace: space, Name: name, Labels: map[string]string{"pod": name}},
				Spec: core.PodSpec{NodeName: "node1", Containers: []core.Container{{Ports: []core.ContainerPort{
					{Name: "serve-80", ContainerPort: 80, Protocol: core.ProtocolTCP},
					{Name: "serve-81", ContainerPort: int32(81 + n), Protocol: core.ProtocolTCP},
					{Name: "serve-udp", ContainerPort: 80, Protocol: core.ProtocolUDP},
				}}}},
				Status: core.PodStatus{Phase: core.PodRunning, PodIPs: []core.PodIP{{IP: address(m, n)}}},
			})
		}
	}
	return state
}

func address(m, n int) string { return fmt.Sprintf("10.0.%d.%d", m+1, n+1) }

func policy(space string, spec networking.NetworkPolicySpec) *networking.NetworkPolicy {
	return &networking.NetworkPolicy{ObjectMeta: meta.ObjectMeta{Namespace: space, Name: "p"}, Spec: spec}
}

func with(key, value string) *meta.LabelSelector {
	return &meta.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func port(protocol core.Protocol, port any, end ...int32) networking.NetworkPolicyPort {
	out := networking.NetworkPolicyPort{Protocol: &protocol}
	switch value := port.(type) {
	case int:
		number := intstr.FromInt32(int32(value))
		out.Port = &number
	case string:
		name := intstr.FromString(value)
		out.Port = &name
	}
	if len(end) > 0 {
		out.EndPort = &end[0]
	}
	return out
}

// passes judges a packet as the rules would, from the compiled form.
func passes(guards []guard, from, to netip.Addr, protocol string, dport int32) bool {
	judge := func(own, other netip.Addr, pick func(guard) *allowed) bool {
		for _, g := range guards {
			direction := pick(g)
			if direction == nil || !slices.Contains(g.addresses, own) {
				continue
			}
			return own == other || slices.ContainsFunc(direction.rules, func(m match) bool { return fits(m, other, protocol, dport) })
		}
		return true
	}
	return judge(from, to, func(g guard) *allowed { return g.egress }) && judge(to, from, func(g guard) *allowed { return g.ingress })
}

func fits(m match, other netip.Addr, protocol string, dport int32) bool {
	if m.block.IsValid() && (!m.block.Contains(other) || slices.ContainsFunc(m.except, func(p netip.Prefix) bool { return p.Contains(other) })) {
		return false
	}
	if !m.block.IsValid() && m.peers != nil && !slices.Contains(m.peers, other) {
		return false
	}
	return len(m.ports) == 0 || slices.ContainsFunc(m.ports, func(p portRange) bool {
		return p.protocol == protocol && (p.last == 0 || p.first <= dport && dport <= p.last)
	})
}

// reach lists the pairs of one target that can talk, for messages.
func reach(guards []guard, to string, protocol string, dport int32) string {
	var able []string
	for m, space := range spaces {
		for n, name := range names {
			if passes(guards, netip.MustParseAddr(address(m, n)), netip.MustParseAddr(to), protocol, dport) {
				able = append(able, space+"/"+name)
			}
		}
	}
	return strings.Join(able, " ")
}

const everybody = "x/a x/b x/c y/a y/b y/c z/a z/b z/c"

func TestWhoReachesPodAOfNamespaceX(t *testing.T) {
	ingress := func(rules ...networking.NetworkPolicyIngressRule) *networking.NetworkPolicy {
		return policy("x", networking.NetworkPolicySpec{Ingress: rules, PolicyTypes: []networking.PolicyType{networking.PolicyTypeIngress}})
	}
	from := func(peers ...networking.NetworkPolicyPeer) networking.NetworkPolicyIngressRule {
		return networking.NetworkPolicyIngressRule{From: peers}
	}
	block := func(cidr string, except ...string) networking.NetworkPolicyPeer {
		return networking.NetworkPolicyPeer{IPBlock: &networking.IPBlock{CIDR: cidr, Except: except}}
	}
	for title, test := range map[string]struct {
		policies []*networking.NetworkPolicy
		want     string
	}{
		"no policy":                {nil, everybody},
		"default deny":             {[]*networking.NetworkPolicy{ingress()}, "x/a"},
		"one empty rule":           {[]*networking.NetworkPolicy{ingress(networking.NetworkPolicyIngressRule{})}, everybody},
		"pods of own namespace":    {[]*networking.NetworkPolicy{ingress(from(networking.NetworkPolicyPeer{PodSelector: with("pod", "b")}))}, "x/a x/b"},
		"all of own namespace":     {[]*networking.NetworkPolicy{ingress(from(networking.NetworkPolicyPeer{PodSelector: &meta.LabelSelector{}}))}, "x/a x/b x/c"},
		"namespace":                {[]*networking.NetworkPolicy{ingress(from(networking.NetworkPolicyPeer{NamespaceSelector: with("ns", "y")}))}, "x/a y/a y/b y/c"},
		"namespace and pod":        {[]*networking.NetworkPolicy{ingress(from(networking.NetworkPolicyPeer{NamespaceSelector: with("ns", "y"), PodSelector: with("pod", "b")}))}, "x/a y/b"},
		"namespace or pod":         {[]*networking.NetworkPolicy{ingress(from(networking.NetworkPolicyPeer{NamespaceSelector: with("ns", "y")}, networking.NetworkPolicyPeer{PodSelector: with("pod", "c")}))}, "x/a x/c y/a y/b y/c"},
		"block":                    {[]*networking.NetworkPolicy{ingress(from(block("10.0.2.0/24")))}, "x/a y/a y/b y/c"},
		"block with exception":     {[]*networking.NetworkPolicy{ingress(from(block("10.0.0.0/8", "10.0.2.2/32", "10.0.3.0/24")))}, "x/a x/b x/c y/a y/c"},
		"exception allowed again":  {[]*networking.NetworkPolicy{ingress(from(block("10.0.0.0/8", "10.0.2.0/24")), from(block("10.0.2.2/32")))}, "x/a x/b x/c y/b z/a z/b z/c"},
		"selector that fits none":  {[]*networking.NetworkPolicy{ingress(from(networking.NetworkPolicyPeer{PodSelector: with("pod", "none")}))}, "x/a"},
		"policy of another pod":    {[]*networking.NetworkPolicy{policy("x", networking.NetworkPolicySpec{PodSelector: *with("pod", "b")})}, everybody},
		"policy of another space":  {[]*networking.NetworkPolicy{policy("y", networking.NetworkPolicySpec{})}, everybody},
		"types left out":           {[]*networking.NetworkPolicy{policy("x", networking.NetworkPolicySpec{})}, "x/a"},
		"egress of others does":    {[]*networking.NetworkPolicy{policy("y", networking.NetworkPolicySpec{PolicyTypes: []networking.PolicyType{networking.PolicyTypeEgress}})}, "x/a x/b x/c z/a z/b z/c"},
		"policies add up":          {[]*networking.NetworkPolicy{ingress(), ingress(from(networking.NetworkPolicyPeer{PodSelector: with("pod", "b")})), ingress(from(networking.NetworkPolicyPeer{NamespaceSelector: with("ns", "z")}))}, "x/a x/b z/a z/b z/c"},
		"expression in a selector": {[]*networking.NetworkPolicy{ingress(from(networking.NetworkPolicyPeer{NamespaceSelector: &meta.LabelSelector{MatchExpressions: []meta.LabelSelectorRequirement{{Key: "ns", Operator: meta.LabelSelectorOpNotIn, Values: []string{"x"}}}}}))}, "x/a y/a y/b y/c z/a z/b z/c"},
	} {
		t.Run(title, func(t *testing.T) {
			if got := reach(compile(world(test.policies...), "node1"), "10.0.1.1", "tcp", 80); got != test.want {
				t.Errorf("able: %s; want: %s", got, test.want)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	a, other := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.2.2")
	type packet struct {
		protocol string
		port     int32
	}
	for title, test := range map[string]struct {
		ports []networking.NetworkPolicyPort
		pass  []packet
		stop  []packet
	}{
		"number":        {[]networking.NetworkPolicyPort{port("TCP", 80)}, []packet{{"tcp", 80}}, []packet{{"tcp", 81}, {"udp", 80}, {"sctp", 80}}},
		"protocol only": {[]networking.NetworkPolicyPort{port("UDP", nil)}, []packet{{"udp", 1}, {"udp", 65535}}, []packet{{"tcp", 80}}},
		"range":         {[]networking.NetworkPolicyPort{port("TCP", 80, 90)}, []packet{{"tcp", 80}, {"tcp", 90}}, []packet{{"tcp", 79}, {"tcp", 91}, {"udp", 85}}},
		"name":          {[]networking.NetworkPolicyPort{port("TCP", "serve-81")}, []packet{{"tcp", 81}}, []packet{{"tcp", 80}, {"udp", 81}}},
		"name of udp":   {[]networking.NetworkPolicyPort{port("UDP", "serve-udp")}, []packet{{"udp", 80}}, []packet{{"tcp", 80}}},
		"unknown name":  {[]networking.NetworkPolicyPort{port("TCP", "nothing")}, nil, []packet{{"tcp", 80}, {"tcp", 81}}},
		"wrong kind":    {[]networking.NetworkPolicyPort{port("UDP", "serve-80")}, nil, []packet{{"udp", 80}, {"tcp", 80}}},
		"sctp":          {[]networking.NetworkPolicyPort{port("SCTP", 80)}, []packet{{"sctp", 80}}, []packet{{"tcp", 80}}},
		"several":       {[]networking.NetworkPolicyPort{port("TCP", 80), port("UDP", 53)}, []packet{{"tcp", 80}, {"udp", 53}}, []packet{{"tcp", 53}}},
	} {
		t.Run(title, func(t *testing.T) {
			guards := compile(world(policy("x", networking.NetworkPolicySpec{Ingress: []networking.NetworkPolicyIngressRule{{Ports: test.ports}}})), "node1")
			for _, p := range test.pass {
				if !passes(guards, other, a, p.protocol, p.port) {
					t.Errorf("%v is stopped", p)
				}
			}
			for _, p := range test.stop {
				if passes(guards, other, a, p.protocol, p.port) {
					t.Errorf("%v passes", p)
				}
			}
		})
	}
}

func TestEgressResolvesNamesByTheOtherSide(t *testing.T) {
	for title, to := range map[string][]networking.NetworkPolicyPeer{
		"anybody": nil,
		"by pods": {{NamespaceSelector: &meta.LabelSelector{}, PodSelector: &meta.LabelSelector{}}},
		"block":   {{IPBlock: &networking.IPBlock{CIDR: "10.0.0.0/16"}}},
	} {
		t.Run(title, func(t *testing.T) {
			guards := compile(world(policy("x", networking.NetworkPolicySpec{
				PolicyTypes: []networking.PolicyType{networking.PolicyTypeEgress},
				Egress:      []networking.NetworkPolicyEgressRule{{Ports: []networking.NetworkPolicyPort{port("TCP", "serve-81")}, To: to}},
			})), "node1")
			from := netip.MustParseAddr("10.0.1.1")
			for n := range names { // serve-81 is 81 at pod a, 82 at b, 83 at c
				for dport := int32(80); dport <= 84; dport++ {
					want := dport == int32(81+n)
					if got := passes(guards, from, netip.MustParseAddr(address(1, n)), "tcp", dport); got != want {
						t.Errorf("to %s port %d: %v, want %v", names[n], dport, got, want)
					}
				}
			}
		})
	}
}

func TestPodsThatDoNotCount(t *testing.T) {
	state := world(policy("x", networking.NetworkPolicySpec{Ingress: []networking.NetworkPolicyIngressRule{{From: []networking.NetworkPolicyPeer{{PodSelector: &meta.LabelSelector{}}}}}}))
	state.pods[1].Status.Phase = core.PodSucceeded
	state.pods[2].Spec.HostNetwork = true
	if got := reach(compile(state, "node1"), "10.0.1.1", "tcp", 80); got != "x/a" {
		t.Errorf("able: %s", got)
	}
	if guards := compile(state, "node2"); len(guards) != 0 {
		t.Errorf("rules for pods of another node: %v", guards)
	}
}

func TestRenderedRules(t *testing.T) {
	state := world(policy("x", networking.NetworkPolicySpec{
		PodSelector: *with("pod", "a"),
		PolicyTypes: []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress},
		Ingress: []networking.NetworkPolicyIngressRule{{
			From:  []networking.NetworkPolicyPeer{{IPBlock: &networking.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16"}}}, {PodSelector: with("pod", "b")}},
			Ports: []networking.NetworkPolicyPort{port("TCP", 80, 90), port("UDP", nil)},
		}},
	}))
	state.pods[0].Status.PodIPs = append(state.pods[0].Status.PodIPs, core.PodIP{IP: "fd00::1"})
	text := render(compile(state, "node1"))
	for _, line := range []string{
		"ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 tcp dport 80-90 return",
		"ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 meta l4proto udp return",
		"ip saddr { 10.0.1.2 } tcp dport 80-90 return",
		"ip saddr { 10.0.1.1 } return",
		"ip6 daddr { fd00::1 } return",
		"ip saddr vmap { 10.0.1.1 : jump from_0 }",
		"ip6 daddr vmap { fd00::1 : jump to_0 }",
		"ct direction reply ct state established accept",
		"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
	} {
		if !strings.Contains(text, "\t\t"+line+"\n") {
			t.Errorf("missing: %s\n%s", line, text)
		}
	}
	if render(compile(state, "node1")) != text {
		t.Error("the same state gives different rules")
	}
}
