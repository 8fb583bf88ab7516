package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/klog/v2"
	"k8s.io/kube-state-metrics/v2/pkg/customresource"
	"k8s.io/kube-state-metrics/v2/pkg/customresourcestate"
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// config is the file that kube-state-metrics reads; its own type knows nothing of `kind`.
type config struct {
	Kind                        string `yaml:"kind"`
	customresourcestate.Metrics `yaml:",inline"`
}

// absent is what it logs of a field that an object does not have; that is no mistake.
const absent = "got nil while resolving path"

// seriesOf reads a configuration of kube-state-metrics, in which an unknown field is an error here.
// An object makes the series of its own kind.
func seriesOf(file []byte) (func(*unstructured.Unstructured) ([]string, error), error) {
	var read config
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(&read); err != nil {
		return nil, err
	}
	// What it cannot make a series of is only logged.
	logged := &bytes.Buffer{}
	if err := logErrorsTo(logged); err != nil {
		return nil, err
	}
	factories := map[string]customresource.RegistryFactory{}
	for _, resource := range read.Spec.Resources {
		factory, err := customresourcestate.NewCustomResourceMetrics(resource)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", resource.GroupVersionKind, err)
		}
		factories[resource.GroupVersionKind.Kind] = factory
	}
	return func(object *unstructured.Unstructured) ([]string, error) {
		factory, known := factories[object.GetKind()]
		if !known {
			return nil, errors.New("the configuration has no such kind")
		}
		var lines []string
		for _, generator := range factory.MetricFamilyGenerators() {
			for line := range strings.Lines(string(generator.Generate(object).ByteSlice())) {
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
		}
		klog.Flush()
		for line := range strings.Lines(logged.String()) {
			if !strings.Contains(line, absent) {
				return nil, errors.New(line)
			}
		}
		return lines, nil
	}, nil
}

func logErrorsTo(logged *bytes.Buffer) error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Parse([]string{"-logtostderr=false", "-stderrthreshold=FATAL", "-v=10"}); err != nil {
		return err
	}
	klog.SetOutput(&bytes.Buffer{})
	klog.SetOutputBySeverity("ERROR", logged)
	return nil
}
