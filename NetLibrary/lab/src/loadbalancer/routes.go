package loadbalancer

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// protocol marks the routes of this controller in the kernel's table, so that a restarted one finds its own again.
const protocol = 76

// routingTable is the controller's part of the kernel's main routing table: address → node.
type routingTable struct{ current map[netip.Addr]netip.Addr }

// newRoutingTable reads what an earlier process of the same lab left; the pool tells labs on one machine apart.
func newRoutingTable(inPool func(netip.Addr) bool) (*routingTable, error) {
	table := &routingTable{current: map[netip.Addr]netip.Addr{}}
	filter := &netlink.Route{Protocol: protocol, Table: unix.RT_TABLE_MAIN}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("cannot read the routing table: %w", err)
	}
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		address, _ := netip.AddrFromSlice(route.Dst.IP)
		via, _ := netip.AddrFromSlice(route.Gw)
		if inPool(address.Unmap()) {
			table.current[address.Unmap()] = via.Unmap()
		}
	}
	return table, nil
}

func (t *routingTable) via(address netip.Addr) netip.Addr { return t.current[address] }

// replace makes the table hold exactly the wanted routes; false when the kernel refused one.
func (t *routingTable) replace(wanted map[netip.Addr]netip.Addr) bool {
	complete := true
	for address := range t.current {
		if _, keep := wanted[address]; keep {
			continue
		}
		if err := netlink.RouteDel(route(address, netip.Addr{})); err != nil && err != unix.ESRCH {
			klog.ErrorS(err, "Cannot withdraw the route", "address", address)
			complete = false
			continue
		}
		delete(t.current, address)
		klog.InfoS("Withdrew the route", "address", address)
	}
	for address, via := range wanted {
		if t.current[address] == via {
			continue
		}
		if err := netlink.RouteReplace(route(address, via)); err != nil {
			klog.ErrorS(err, "Cannot set the route", "address", address, "via", via)
			complete = false
			continue
		}
		t.current[address] = via
		klog.InfoS("Set the route", "address", address, "via", via)
	}
	return complete
}

func route(address, via netip.Addr) *netlink.Route {
	single := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(address.BitLen(), address.BitLen())}
	r := &netlink.Route{Dst: single, Protocol: protocol, Table: unix.RT_TABLE_MAIN}
	if via.IsValid() {
		r.Gw = via.AsSlice()
	}
	return r
}
