package main

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics on /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // build information on /metrics
	"k8s.io/klog/v2"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"netlibrary.io/lab/loadbalancer"
	"netlibrary.io/lab/netpol"
)

// components maps the name of a program to its entry. A per-node agent of the lab (such as one that enforces
// NetworkPolicies) is a line here and one in NetLibrary/lab/components.py.
var components = map[string]component{
	"etcd":                    startEtcd,
	"kube-apiserver":          upstream(apiserver.NewAPIServerCommand),
	"kube-controller-manager": upstream(controllers.NewControllerManagerCommand),
	"kube-scheduler":          upstream(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 upstream(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kube-proxy":              upstream(proxy.NewProxyCommand),
	"kubectl":                 upstream(kubectl.NewDefaultKubectlCommand),
	"load-balancer":           own(loadbalancer.Main),
	"netpol":                  own(netpol.Main),
}

// upstream wraps a component of Kubernetes, which brings its own flags, logging and signal handling.
func upstream(newCommand func() *cobra.Command) component {
	return func() int { return cli.Run(newCommand()) }
}

// own wraps a component of the lab, which gets its arguments and reports why it ended.
func own(run func(arguments []string) error) component {
	return func() int {
		if err := run(argumentsOfProcess()); err != nil {
			klog.ErrorS(err, "The component ended")
			return 1
		}
		return 0
	}
}
