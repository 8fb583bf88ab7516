# `make demo` shows the controller at work, `make test` checks everything; the other targets are the
# steps they are made of. All outputs are under target/.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test format lint drift build debug image again controlplane tools crds docs clean

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

test: format controlplane tools lint drift ## check formatting, lints, that crds/ is up to date, and run every test
	cargo test --locked --no-fail-fast

format: ## check the formatting
	cargo fmt --check
	! gofmt -d tests/controlplane tests/tools | grep .

lint: ## check the lints; a warning is an error
	cargo clippy --locked --all-targets -- -D warnings
	cd tests/controlplane && $(go) vet $(goflags) .
	cd tests/tools && $(go) vet $(goflags) ./...
	for script in tests/demo.sh deploy/image/build.sh .ci/run; do bash -n $$script || exit; done

drift: debug ## check that crds/ is what src/api says
	rm -rf target/crds
	mkdir -p target/crds
	target/debug/modelarts-pool-controller crd --dir target/crds
	diff -ru crds target/crds || { echo "crds/ is not what src/api says: run make crds"; exit 1; }
	cargo test --locked --quiet --test documents the_reference_

build: ## build the controller and the simulator for use
	cargo build --locked --release

# The demo's: it takes a third of the time of a release build, and `make test` needs it as well.
debug: ## build the controller and the simulator as the tests do
	cargo build --locked

image: tools target/tools/bin/cargo-cyclonedx ## build the image as an OCI layout, and print its digest and size
	deploy/image/build.sh

again: image ## build the committed image once more, in another directory, and compare the digests
	rm -rf target/again
	git clone --quiet . target/again
	mkdir target/again/target
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

crds: debug ## write crds/ anew from src/api
	target/debug/modelarts-pool-controller crd --dir crds

# The metrics are those of a running controller, so their page is compared among the promises.
docs: controlplane ## write docs/reference.md and docs/metrics.md anew from the code
	UPDATE_DOCS=1 cargo test --locked --test documents --test promises the_reference_

clean: ## remove all outputs
	rm -rf target
