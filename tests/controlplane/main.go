// Command controlplane is a Kubernetes control plane in one binary, for the tests and the demo.
//
//	controlplane up --dir DIR            start etcd, API server and controller manager; stay until told to end
//	controlplane kubectl ...             kubectl
//	controlplane etcd ...                one component; `up` runs each of them as a process of its own,
//	controlplane kube-apiserver ...      so that a fault test can kill one and leave the others
//	controlplane kube-controller-manager ...
//
// This file only picks what runs. It never starts or configures anything itself.
package main

import (
	"fmt"
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's client authentication plugins
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usage = "usage: controlplane up|kubectl|etcd|kube-apiserver|kube-controller-manager [arguments]"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	// From here on each component finds os.Args as if it had been called by its own name.
	os.Args = os.Args[1:]

	switch os.Args[0] {
	case "up":
		os.Exit(up(os.Args[1:]))
	case etcdName:
		os.Exit(runEtcd(os.Args[1:]))
	case apiServerName:
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case controllerManagerName:
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kubectl":
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	default:
		fmt.Fprintf(os.Stderr, "controlplane: unknown command %q\n%s\n", os.Args[0], usage)
		os.Exit(2)
	}
}
