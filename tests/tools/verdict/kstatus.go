package main

import (
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// kstatusOf is what Flux without healthCheckExprs, kpt and other users of the library wait for.
func kstatusOf(object *unstructured.Unstructured) ([]string, error) {
	result, err := status.Compute(object)
	if err != nil {
		return nil, err
	}
	return []string{result.Status.String()}, nil
}
