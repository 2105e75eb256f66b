package netpol

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// cluster is everything that decides about the rules of a node.
type cluster struct {
	pods       []*core.Pod
	namespaces []*core.Namespace
	policies   []*networking.NetworkPolicy
}

// guard is one local pod with at least one policy on it. A nil direction is not isolated.
type guard struct {
	name      string
	addresses []netip.Addr
	ingress   *allowed
	egress    *allowed
}

// allowed lists what may pass in one direction; nothing else may.
type allowed struct{ rules []match }

// match is one allowance: every field that is set must fit. The addresses are those of the other side.
type match struct {
	peers  []netip.Addr // nil: anybody, unless a block is set
	block  netip.Prefix
	except []netip.Prefix
	ports  []portRange
}

// portRange is one protocol with its destination ports; 0 to 0 means all of them.
type portRange struct {
	protocol    string
	first, last int32
}

// compile works out which packets the policies allow to and from the pods of a node.
func compile(state cluster, node string) []guard {
	c := compiler{cluster: state, labels: map[string]labels.Set{}}
	for _, namespace := range state.namespaces {
		c.labels[namespace.Name] = namespace.Labels
	}
	for _, pod := range state.pods {
		if len(addressesOf(pod)) > 0 {
			c.peers = append(c.peers, pod)
		}
	}
	slices.SortFunc(c.peers, func(a, b *core.Pod) int { return cmp.Compare(key(a), key(b)) })
	policies := slices.Clone(state.policies)
	slices.SortFunc(policies, func(a, b *networking.NetworkPolicy) int {
		return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	var guards []guard
	for _, pod := range c.peers {
		if pod.Spec.NodeName != node {
			continue
		}
		g := guard{name: key(pod), addresses: addressesOf(pod)}
		for _, policy := range policies {
			if policy.Namespace == pod.Namespace && selects(&policy.Spec.PodSelector, pod.Labels) {
				c.add(&g, pod, policy)
			}
		}
		if g.ingress != nil || g.egress != nil {
			guards = append(guards, g)
		}
	}
	return guards
}

func key(pod *core.Pod) string { return pod.Namespace + "/" + pod.Name }

// addressesOf returns the addresses that a pod answers for. Pods in the node's own network have none of their own, and
// those of ended pods may already belong to another pod.
func addressesOf(pod *core.Pod) []netip.Addr {
	if pod.Spec.HostNetwork || pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
		return nil
	}
	var all []netip.Addr
	for _, entry := range pod.Status.PodIPs {
		if address, err := netip.ParseAddr(entry.IP); err == nil {
			all = append(all, address)
		}
	}
	return all
}

// selects reports whether a selector fits. An invalid one fits nothing: the API server refuses those anyway.
func selects(selector *meta.LabelSelector, set map[string]string) bool {
	compiled, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && compiled.Matches(labels.Set(set))
}

type compiler struct {
	cluster
	labels map[string]labels.Set
	peers  []*core.Pod
}

func (c *compiler) add(g *guard, pod *core.Pod, policy *networking.NetworkPolicy) {
	ingress, egress := directions(policy)
	if ingress {
		if g.ingress == nil {
			g.ingress = &allowed{}
		}
		for _, rule := range policy.Spec.Ingress {
			g.ingress.rules = append(g.ingress.rules, c.ingress(pod, policy.Namespace, rule)...)
		}
	}
	if egress {
		if g.egress == nil {
			g.egress = &allowed{}
		}
		for _, rule := range policy.Spec.Egress {
			g.egress.rules = append(g.egress.rules, c.egress(policy.Namespace, rule)...)
		}
	}
}

// directions applies the default of policyTypes: ingress always, egress when there are rules for it.
func directions(policy *networking.NetworkPolicy) (ingress, egress bool) {
	if len(policy.Spec.PolicyTypes) == 0 {
		return true, len(policy.Spec.Egress) > 0
	}
	return slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeIngress),
		slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeEgress)
}

// ingress resolves named ports by the pod that is protected.
func (c *compiler) ingress(pod *core.Pod, namespace string, rule networking.NetworkPolicyIngressRule) []match {
	var ports []portRange
	for _, port := range rule.Ports {
		if name, named := portName(port); named {
			ports = append(ports, namedPorts(pod, name, protocolOf(port))...)
		} else {
			ports = append(ports, numbered(port))
		}
	}
	if len(rule.Ports) > 0 && len(ports) == 0 {
		return nil // the pod has no port of that name: the rule allows nothing
	}
	matches := c.others(namespace, rule.From)
	for index := range matches {
		matches[index].ports = ports
	}
	return matches
}

// egress resolves named ports by each pod that is spoken to, so one rule may become several.
func (c *compiler) egress(namespace string, rule networking.NetworkPolicyEgressRule) []match {
	var numeric []portRange
	var matches []match
	for _, port := range rule.Ports {
		if name, named := portName(port); named {
			matches = append(matches, c.namedEgress(namespace, rule.To, name, protocolOf(port))...)
		} else {
			numeric = append(numeric, numbered(port))
		}
	}
	if len(rule.Ports) == 0 || len(numeric) > 0 {
		for _, m := range c.others(namespace, rule.To) {
			m.ports = numeric
			matches = append(matches, m)
		}
	}
	return matches
}

func (c *compiler) namedEgress(namespace string, to []networking.NetworkPolicyPeer, name, protocol string) []match {
	byPort := map[portRange][]netip.Addr{}
	for _, other := range c.peers {
		addresses := c.reached(namespace, to, other)
		for _, port := range namedPorts(other, name, protocol) {
			if len(addresses) > 0 {
				byPort[port] = append(byPort[port], addresses...)
			}
		}
	}
	var matches []match
	for port, addresses := range byPort {
		matches = append(matches, match{peers: addresses, ports: []portRange{port}})
	}
	slices.SortFunc(matches, func(a, b match) int { return cmp.Compare(a.ports[0].first, b.ports[0].first) })
	return matches
}

// reached returns the addresses of a pod that a list of peers covers.
func (c *compiler) reached(namespace string, peers []networking.NetworkPolicyPeer, pod *core.Pod) []netip.Addr {
	if len(peers) == 0 {
		return addressesOf(pod)
	}
	var covered []netip.Addr
	for _, peer := range peers {
		if peer.IPBlock == nil {
			if c.fits(namespace, peer, pod) {
				return addressesOf(pod)
			}
			continue
		}
		block, except, ok := parseBlock(peer.IPBlock)
		for _, address := range addressesOf(pod) {
			excluded := slices.ContainsFunc(except, func(p netip.Prefix) bool { return p.Contains(address) })
			if ok && block.Contains(address) && !excluded && !slices.Contains(covered, address) {
				covered = append(covered, address)
			}
		}
	}
	return covered
}

// others turns a list of peers into matches without ports. No list at all means anybody.
func (c *compiler) others(namespace string, peers []networking.NetworkPolicyPeer) []match {
	if len(peers) == 0 {
		return []match{{}}
	}
	var matches []match
	var addresses []netip.Addr
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if block, except, ok := parseBlock(peer.IPBlock); ok {
				matches = append(matches, match{block: block, except: except})
			}
			continue
		}
		for _, pod := range c.peers {
			if c.fits(namespace, peer, pod) {
				addresses = append(addresses, addressesOf(pod)...)
			}
		}
	}
	if len(addresses) > 0 {
		slices.SortFunc(addresses, netip.Addr.Compare)
		matches = append(matches, match{peers: slices.Compact(addresses)})
	}
	return matches
}

// fits applies the two selectors of a peer: without a namespaceSelector the policy's own namespace counts.
func (c *compiler) fits(namespace string, peer networking.NetworkPolicyPeer, pod *core.Pod) bool {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != namespace {
			return false
		}
	} else if set, known := c.labels[pod.Namespace]; !known || !selects(peer.NamespaceSelector, set) {
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)
}

func parseBlock(block *networking.IPBlock) (netip.Prefix, []netip.Prefix, bool) {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return netip.Prefix{}, nil, false
	}
	var except []netip.Prefix
	for _, text := range block.Except {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			except = append(except, prefix.Masked())
		}
	}
	return whole.Masked(), except, true
}

func protocolOf(port networking.NetworkPolicyPort) string {
	if port.Protocol == nil {
		return "tcp"
	}
	return strings.ToLower(string(*port.Protocol))
}

func portName(port networking.NetworkPolicyPort) (string, bool) {
	if port.Port == nil || port.Port.Type != intstr.String {
		return "", false
	}
	return port.Port.StrVal, true
}

func numbered(port networking.NetworkPolicyPort) portRange {
	if port.Port == nil {
		return portRange{protocol: protocolOf(port)}
	}
	last := port.Port.IntVal
	if port.EndPort != nil {
		last = *port.EndPort
	}
	return portRange{protocolOf(port), port.Port.IntVal, last}
}

// namedPorts finds the ports of that name and protocol in all containers that stay, restartable init ones too.
func namedPorts(pod *core.Pod, name, protocol string) []portRange {
	containers := slices.Clone(pod.Spec.Containers)
	for _, container := range pod.Spec.InitContainers {
		if container.RestartPolicy != nil && *container.RestartPolicy == core.ContainerRestartPolicyAlways {
			containers = append(containers, container)
		}
	}
	var found []portRange
	for _, container := range containers {
		for _, port := range container.Ports {
			of := strings.ToLower(cmp.Or(string(port.Protocol), "TCP"))
			if port.Name == name && of == protocol {
				found = append(found, portRange{protocol, port.ContainerPort, port.ContainerPort})
			}
		}
	}
	return found
}
