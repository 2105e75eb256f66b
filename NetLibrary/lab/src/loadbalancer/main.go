// Package loadbalancer gives Services of type LoadBalancer an address and a route to a node that can answer.
//
// It does for a lab what a cloud's load balancer does for a cluster: addresses come from a pool, traffic for an address
// enters the cluster at a healthy node, and with externalTrafficPolicy Local only at a node that has a ready endpoint.
package loadbalancer

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Main runs the controller until it is told to end.
func Main(arguments []string) error {
	flags := flag.NewFlagSet("load-balancer", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "credentials for the API server")
	pools := flags.String("pools", "", "prefixes to take addresses from, separated by commas; at most one for each family")
	healthPort := flags.Int("health-port", 10256, "port on which a node's kube-proxy reports its health")
	healthPeriod := flags.Duration("health-period", time.Second, "time between two health checks of a node")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	allocator, err := newAllocator(strings.Split(*pools, ","))
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	routes, err := newRoutingTable(allocator.contains)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c := newController(client, allocator, routes, newHealth(*healthPort, *healthPeriod))
	return c.run(ctx)
}

// allocator hands out addresses of its pools; which are in use is told by the Services' statuses.
type allocator struct {
	pools []netip.Prefix
	last  map[netip.Prefix]netip.Addr // where to go on: an address that was just freed may still be in some node's rules
}

func newAllocator(texts []string) (*allocator, error) {
	a := &allocator{last: map[netip.Prefix]netip.Addr{}}
	for _, text := range texts {
		pool, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("--pools: %w", err)
		}
		a.pools = append(a.pools, pool.Masked())
	}
	return a, nil
}

func (a *allocator) contains(address netip.Addr) bool {
	for _, pool := range a.pools {
		if pool.Contains(address) {
			return true
		}
	}
	return false
}

// pick returns the wanted address when it is valid and free, else the next free one of the family behind the last that
// was given out.
func (a *allocator) pick(v6 bool, wanted string, used map[netip.Addr]bool) (netip.Addr, error) {
	for _, pool := range a.pools {
		if pool.Addr().Is6() != v6 {
			continue
		}
		if wanted != "" {
			address, err := netip.ParseAddr(wanted)
			if err != nil || !pool.Contains(address) {
				return netip.Addr{}, fmt.Errorf("the requested address %q is not in the pool %s", wanted, pool)
			}
			if used[address] {
				return netip.Addr{}, fmt.Errorf("the requested address %s is in use by another Service", wanted)
			}
			return address, nil
		}
		first := pool.Addr().Next() // the first address of a network is not given out
		next := first
		if last, found := a.last[pool]; found {
			next = last.Next()
		}
		for _, from := range []netip.Addr{next, first} {
			for address := from; pool.Contains(address); address = address.Next() {
				if !used[address] {
					a.last[pool] = address
					return address, nil
				}
			}
		}
		return netip.Addr{}, fmt.Errorf("all addresses of the pool %s are in use", pool)
	}
	return netip.Addr{}, errNoPool
}
