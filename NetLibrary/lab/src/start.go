package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func argumentsOfProcess() []string { return os.Args[1:] }

// startEtcd hands over to etcd, which ends the process itself.
func startEtcd() int {
	etcdmain.Main(os.Args)
	return 0
}
