package loadbalancer

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// failuresUntilBad is how many checks in a row a node has to fail before its traffic moves to another one.
const failuresUntilBad = 3

// health asks each node's kube-proxy whether it is well, as cloud load balancers do (KEP-3836).
type health struct {
	port     int
	period   time.Duration
	client   *http.Client
	lock     sync.Mutex
	failures map[string]int
}

func newHealth(port int, period time.Duration) *health {
	return &health{
		port: port, period: period, failures: map[string]int{},
		client: &http.Client{Timeout: period, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// good tells whether the node takes traffic; a node never asked yet is given the benefit of the doubt.
func (h *health) good(node string) bool {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.failures[node] < failuresUntilBad
}

func (h *health) watch(ctx context.Context, addresses func() map[string]string, changed func()) {
	ticker := time.NewTicker(h.period)
	defer ticker.Stop()
	for {
		var checks sync.WaitGroup
		for node, address := range addresses() {
			checks.Add(1)
			go func() {
				defer checks.Done()
				if h.record(node, h.ask(ctx, address)) {
					changed()
				}
			}()
		}
		checks.Wait()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (h *health) ask(ctx context.Context, address string) error {
	url := "http://" + net.JoinHostPort(address, strconv.Itoa(h.port)) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

// record counts the outcome and tells whether the node's standing changed by it.
func (h *health) record(node string, outcome error) bool {
	h.lock.Lock()
	defer h.lock.Unlock()
	before := h.failures[node]
	if outcome == nil {
		h.failures[node] = 0
		return before >= failuresUntilBad
	}
	h.failures[node] = min(before+1, failuresUntilBad)
	if before == failuresUntilBad-1 {
		klog.InfoS("The node takes no more traffic from outside", "node", node, "reason", outcome)
		return true
	}
	return false
}
