# `make demo` shows the controller at work, `make test` checks everything; the other targets are the
# steps they are made of. All outputs are under target/.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test format lint drift build debug image again controlplane tools crds manifests gitops docs clean

# The demo and the tests look for the programs there.
export CARGO_TARGET_DIR := $(CURDIR)/target

controlplane := target/controlplane/controlplane
controlplane_sources := $(wildcard tests/controlplane/*.go tests/controlplane/go.* tests/controlplane/*.yaml)

# The same for `lint` as for `controlplane`, so that it finds what that has compiled.
go := CGO_ENABLED=0 go
goflags := -trimpath -buildvcs=false

# What `kubectl version` and the API server say they are: the version of k8s.io/kubernetes in go.mod.
kubernetes := $(shell sed -n 's/^\tk8s.io\/kubernetes v\([0-9.]*\)$$/\1/p' tests/controlplane/go.mod)
version := k8s.io/component-base/version
ldflags := -s -w -X $(version).gitVersion=v$(kubernetes) \
	-X $(version).gitMajor=$(word 1,$(subst ., ,$(kubernetes))) -X $(version).gitMinor=$(word 2,$(subst ., ,$(kubernetes)))

help: ## print this list
	@sed -n 's/^\([a-z]*\):[^#]*## /make \1\t/p' Makefile | expand -t 20

demo: controlplane tools debug ## show the controller at work until Ctrl-C; with ONCE=1 it ends by itself
	tests/demo.sh

# Most tests wait most of the time, so that more run at once than there are cores.
test: format controlplane tools lint drift ## check formatting, lints, that nothing generated is out of date, and run every test
	cargo test --locked --no-fail-fast -- --test-threads 4

format: ## check the formatting
	cargo fmt --check
	! gofmt -d tests/controlplane tests/tools | grep .

lint: ## check the lints; a warning is an error
	cargo clippy --locked --all-targets -- -D warnings
	cd tests/controlplane && $(go) vet $(goflags) .
	cd tests/tools && $(go) vet $(goflags) ./...
	for script in tests/demo.sh deploy/image/build.sh .ci/run; do bash -n $$script || exit; done

drift: debug tools ## check that crds/ is what src/api says, and the rest what crds/ and the chart say
	rm -rf target/crds target/manifests
	mkdir -p target/crds target/manifests
	target/debug/modelarts-pool-controller crd --dir target/crds
	diff -ru crds target/crds || { echo "crds/ is not what src/api says: run make crds"; exit 1; }
	diff -ru deploy/chart/files/crds crds || { echo "the chart's kinds are not crds/: run make crds"; exit 1; }
	$(call render,target/manifests)
	for file in crds controller; do diff -u deploy/manifests/$$file.yaml target/manifests/$$file.yaml || \
		{ echo "deploy/manifests is not what the chart says: run make manifests"; exit 1; }; done
	cargo test --locked --quiet --test documents the_reference_

build: ## build the controller and the simulator for use
	cargo build --locked --release

# The demo's: it takes a third of the time of a release build, and `make test` needs it as well.
debug: ## build the controller and the simulator as the tests do
	cargo build --locked

image: tools target/tools/bin/cargo-cyclonedx ## build the image as an OCI layout, and print its digest and size
	deploy/image/build.sh

again: image ## build the image once more, in another directory, and compare the digests
	rm -rf target/again
	mkdir -p target/again/target
	tar --create --exclude ./target --exclude ./.git . | tar --extract --directory target/again
	ln -s ../../tools target/again/target/tools
	target/again/deploy/image/build.sh
	cmp target/image/oci/index.json target/again/target/image/oci/index.json
	rm -rf target/again

target/tools/bin/cargo-cyclonedx:
	cargo install --quiet --locked --root target/tools cargo-cyclonedx@0.5.9

controlplane: $(controlplane) ## build etcd, the API server and kubectl for the tests and the demo

$(controlplane): $(controlplane_sources)
	@echo "building the control plane from the sources of Kubernetes $(kubernetes) (about 6 minutes the first time)"
	cd tests/controlplane && $(go) build -v $(goflags) -ldflags="$(ldflags)" -o $(CURDIR)/$@ .

tools: target/tools/helm ## build helm, kubeconform, promtool, umoci and verdict for the tests, the demo and the image

target/tools/helm: $(wildcard tests/tools/go.* tests/tools/*/*.go)
	@echo "building helm, promtool and their like from source (about 5 minutes the first time)"
	mkdir -p target/tools
	cd tests/tools && $(go) build $(goflags) -ldflags="-s -w" -o $(CURDIR)/target/tools/ tool ./verdict ./roots
	touch $@

crds: debug ## write crds/ and the chart's copy anew from src/api
	target/debug/modelarts-pool-controller crd --dir crds
	target/debug/modelarts-pool-controller crd --dir deploy/chart/files/crds

# Nothing there belongs to helm, so its own labels are left out.
define render
	for file in crds controller; do \
		echo "# Rendered from deploy/chart: change that and run make manifests." >$(1)/$$file.yaml; done
	target/tools/helm template modelarts-pool-controller deploy/chart --namespace modelarts-system \
		--set crds.keep=false --show-only templates/crds.yaml | $(without_helm) >>$(1)/crds.yaml
	target/tools/helm template modelarts-pool-controller deploy/chart --namespace modelarts-system \
		--set crds.install=false | $(without_helm) >>$(1)/controller.yaml
endef
without_helm := sed '/^\# Source:/d; /^$$/d; /managed-by: Helm$$/d; / helm.sh\/chart: /d'

manifests: tools ## render deploy/manifests anew from the chart
	$(call render,deploy/manifests)

gitops: controlplane tools ## write the ConfigMap and the test data of deploy/gitops/argocd anew
	WRITE_GENERATED=1 cargo test --locked --test promises makes_gitops_files

# The metrics are those of a running controller, so their page is compared among the promises.
docs: controlplane ## write docs/reference.md and docs/metrics.md anew from the code
	WRITE_GENERATED=1 cargo test --locked --test documents --test promises the_reference_

clean: ## remove all outputs
	rm -rf target
