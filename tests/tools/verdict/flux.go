package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/engine"
	helm "github.com/fluxcd/helm-controller/api/v2"
	kustomize "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/runtime/cel"
	source "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// fluxVerdict reads the healthCheckExprs of the one Kustomization in a file.
func fluxVerdict(file []byte) (func(*unstructured.Unstructured) ([]string, error), error) {
	objects, err := fluxObjects(file)
	if err != nil {
		return nil, err
	}
	var reader engine.StatusReader
	for _, object := range objects {
		kustomization, ok := object.(*kustomize.Kustomization)
		if !ok {
			continue
		}
		build, err := cel.NewStatusReader(kustomization.Spec.HealthCheckExprs)
		if err != nil {
			return nil, err
		}
		reader = build(meta.NewDefaultRESTMapper(nil))
	}
	if reader == nil {
		return nil, errors.New("there is no Kustomization in the file")
	}
	return func(object *unstructured.Unstructured) ([]string, error) {
		status, err := reader.ReadStatusForObject(context.Background(), nil, object)
		if err != nil {
			return nil, err
		}
		// Flux waits until the timeout where an expression fails to evaluate.
		if status.Error != nil {
			return nil, status.Error
		}
		return []string{status.Status.String()}, nil
	}, nil
}

// fluxKinds names the objects in a file of Flux manifests.
func fluxKinds(file []byte) ([]string, error) {
	objects, err := fluxObjects(file)
	if err != nil {
		return nil, err
	}
	kinds := []string{}
	for _, object := range objects {
		kinds = append(kinds, object.GetObjectKind().GroupVersionKind().Kind)
	}
	return kinds, nil
}

// fluxObjects decodes a file; a field that Flux does not know is an error.
func fluxObjects(file []byte) ([]runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{helm.AddToScheme, kustomize.AddToScheme, source.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(file)))
	defer documents.Close()
	var objects []runtime.Object
	document := make([]byte, len(file))
	for {
		length, err := documents.Read(document)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object, _, err := decoder.Decode(document[:length], nil, nil)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(objects)+1, err)
		}
		objects = append(objects, object)
	}
}
