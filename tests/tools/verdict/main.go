// verdict prints what kstatus, Flux and kube-state-metrics make of an object, by their own code.
package main

import (
	_ "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	_ "github.com/fluxcd/pkg/runtime/cel"
	_ "k8s.io/kube-state-metrics/v2/pkg/customresourcestate"
)

func main() {}
