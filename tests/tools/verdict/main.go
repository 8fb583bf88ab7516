// verdict prints what kstatus, Flux and kube-state-metrics make of objects, by their own code.
//
//	verdict kstatus         < objects.json   the status of each object by kstatus' rules
//	verdict flux FILE       < objects.json   the same by the healthCheckExprs of the Kustomization in FILE
//	verdict series FILE     < objects.json   the series that a CustomResourceStateMetrics in FILE makes of them
//	verdict manifests FILE                   the kinds in FILE, decoded strictly into Flux' own types
//
// objects.json is an array of Kubernetes objects. The answer is an array of strings in JSON, for the
// first two in the order of the objects. It never talks to a cluster.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	answer, err := ask(os.Args[1:], os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(1)
	}
}

func ask(args []string, stdin io.Reader) ([]string, error) {
	if len(args) == 1 && args[0] == "kstatus" {
		return onObjects(stdin, kstatusOf)
	}
	if len(args) != 2 {
		return nil, fmt.Errorf("usage: verdict kstatus | flux FILE | series FILE | manifests FILE")
	}
	file, err := os.ReadFile(args[1])
	if err != nil {
		return nil, err
	}
	switch args[0] {
	case "flux":
		verdict, err := fluxVerdict(file)
		if err != nil {
			return nil, err
		}
		return onObjects(stdin, verdict)
	case "series":
		series, err := seriesOf(file)
		if err != nil {
			return nil, err
		}
		return onObjects(stdin, series)
	case "manifests":
		return fluxKinds(file)
	default:
		return nil, fmt.Errorf("unknown command %q", args[0])
	}
}

// onObjects reads the objects and collects what `answer` says of each.
func onObjects(stdin io.Reader, answer func(*unstructured.Unstructured) ([]string, error)) ([]string, error) {
	input, err := io.ReadAll(stdin)
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(input, &raw); err != nil {
		return nil, fmt.Errorf("read the objects: %w", err)
	}
	answers := []string{}
	for _, text := range raw {
		// Its own decoder keeps integers, which Flux and kstatus insist on.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("read an object: %w", err)
		}
		said, err := answer(object)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		answers = append(answers, said...)
	}
	return answers, nil
}
