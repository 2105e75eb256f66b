package netpol

import (
	"fmt"
	"net/netip"
	"strings"
)

const table = "inet netlibrary_policy"

// render writes the guards as one nft transaction that replaces the whole table.
//
// Only answers of a connection pass without a look at the policies. A packet in its first direction is judged each
// time, so that a new policy also ends what was under way, and so that a stream nobody answers is judged at all.
func render(guards []guard) string {
	var out strings.Builder
	fmt.Fprintf(&out, "table %s\ndelete table %s\ntable %s {\n", table, table, table)
	var egress, ingress []string
	for index, g := range guards {
		if g.egress != nil {
			chain(&out, fmt.Sprintf("from_%d", index), g, "daddr", g.egress)
			egress = append(egress, verdicts(g, fmt.Sprintf("from_%d", index))...)
		}
		if g.ingress != nil {
			chain(&out, fmt.Sprintf("to_%d", index), g, "saddr", g.ingress)
			ingress = append(ingress, verdicts(g, fmt.Sprintf("to_%d", index))...)
		}
	}
	out.WriteString("\tchain forward {\n\t\ttype filter hook forward priority -1; policy accept;\n")
	out.WriteString("\t\tct direction reply ct state established accept\n\t\tct state related accept\n")
	// Pods of one node find each other by these, and with the bridge filter on, they come by here. IPv4 has ARP for it,
	// which no policy sees. Source: RFC 4861.
	out.WriteString("\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n")
	lookup(&out, "saddr", egress)
	lookup(&out, "daddr", ingress)
	out.WriteString("\t}\n}\n")
	return out.String()
}

// verdicts are the map entries that lead a pod's addresses to its chain.
func verdicts(g guard, name string) []string {
	var entries []string
	for _, address := range g.addresses {
		entries = append(entries, fmt.Sprintf("%s : jump %s", address, name))
	}
	return entries
}

// lookup finds the chain of an address with one map for each family, however many pods there are.
func lookup(out *strings.Builder, side string, entries []string) {
	for _, family := range []string{"ip", "ip6"} {
		var fitting []string
		for _, entry := range entries {
			if strings.Contains(strings.SplitN(entry, " ", 2)[0], ":") == (family == "ip6") {
				fitting = append(fitting, entry)
			}
		}
		if len(fitting) > 0 {
			fmt.Fprintf(out, "\t\t%s %s vmap { %s }\n", family, side, strings.Join(fitting, ", "))
		}
	}
}

// chain returns to the caller for what is allowed and drops the rest. A pod always reaches itself.
func chain(out *strings.Builder, name string, g guard, side string, direction *allowed) {
	fmt.Fprintf(out, "\tchain %s { # %s\n", name, g.name)
	rules := append([]match{{peers: g.addresses}}, direction.rules...)
	seen := map[string]bool{}
	for _, m := range rules {
		for _, line := range lines(m, side) {
			if !seen[line] {
				seen[line] = true
				fmt.Fprintf(out, "\t\t%s\n", line)
			}
		}
	}
	out.WriteString("\t\tcounter drop\n\t}\n")
}

// lines are the nft rules of one match: its peers, one rule for each family, times its ports.
func lines(m match, side string) []string {
	var all []string
	for _, peer := range peerTexts(m, side) {
		if len(m.ports) == 0 {
			all = append(all, strings.TrimSpace(peer+" return"))
		}
		for _, port := range m.ports {
			all = append(all, strings.TrimSpace(peer+" "+portText(port)+" return"))
		}
	}
	return all
}

func peerTexts(m match, side string) []string {
	if m.block.IsValid() {
		text := fmt.Sprintf("%s %s %s", family(m.block.Addr()), side, m.block)
		if m.block.Bits() == 0 {
			text = "meta nfproto " + map[bool]string{true: "ipv4", false: "ipv6"}[m.block.Addr().Is4()]
		}
		for _, except := range m.except {
			text += fmt.Sprintf(" %s %s != %s", family(except.Addr()), side, except)
		}
		return []string{text}
	}
	if m.peers == nil {
		return []string{""}
	}
	byFamily := map[string][]string{}
	for _, address := range m.peers {
		byFamily[family(address)] = append(byFamily[family(address)], address.String())
	}
	var texts []string
	for _, name := range []string{"ip", "ip6"} {
		if len(byFamily[name]) > 0 {
			texts = append(texts, fmt.Sprintf("%s %s { %s }", name, side, strings.Join(byFamily[name], ", ")))
		}
	}
	return texts
}

func portText(port portRange) string {
	switch {
	case port.first == 0 && port.last == 0:
		return "meta l4proto " + port.protocol
	case port.first == port.last:
		return fmt.Sprintf("%s dport %d", port.protocol, port.first)
	default:
		return fmt.Sprintf("%s dport %d-%d", port.protocol, port.first, port.last)
	}
}

func family(address netip.Addr) string {
	if address.Is4() {
		return "ip"
	}
	return "ip6"
}
