// The components' names and command lines. This file never starts them.

package main

import "fmt"

const (
	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
)

func etcdArgs(dir directory, p ports) []string {
	return []string{
		"--data-dir=" + dir.etcdData(),
		"--client-url=" + p.etcdClient.url("http"),
		"--peer-url=" + p.etcdPeer.url("http"),
	}
}

func apiServerArgs(dir directory, p ports) []string {
	return []string{
		"--etcd-servers=" + p.etcdClient.url("http"),
		"--bind-address=" + loopback,
		fmt.Sprintf("--secure-port=%d", p.apiServer),
		// Nothing looks for the server through the cluster's own Service, and a loopback address may not be in one.
		"--advertise-address=" + loopback,
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",

		"--cert-dir=" + dir.certs(),
		"--token-auth-file=" + dir.tokens(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + dir.serviceAccountKey(),
		"--service-account-signing-key-file=" + dir.serviceAccountKey(),

		"--audit-policy-file=" + dir.auditPolicy(),
		"--audit-log-path=" + dir.auditLog(),
		"--audit-log-mode=blocking",  // a request's line is in the file before its answer is complete
		"--audit-log-maxsize=100000", // megabytes: a test that counts lines needs them all in one file
	}
}

func controllerManagerArgs(dir directory) []string {
	return []string{
		"--kubeconfig=" + dir.controllerManagerKubeconfig(),
		"--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller",
		"--leader-elect=false",
		"--secure-port=0",
	}
}
