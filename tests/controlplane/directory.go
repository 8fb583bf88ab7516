// The directory that a control plane lives in: where each file is, and that only one control plane uses it.
// It never knows what is in the files, pids.json apart.

package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// auditPolicy says what the API server writes to audit.log.
//
//go:embed audit-policy.yaml
var auditPolicy []byte

type directory struct {
	path string
	lock *os.File
}

func (d directory) file(name string) string    { return filepath.Join(d.path, name) }
func (d directory) etcdData() string           { return d.file("etcd") }
func (d directory) certs() string              { return d.file("certs") }
func (d directory) servingCertificate() string { return d.file("certs/apiserver.crt") }
func (d directory) tokens() string             { return d.file("tokens.csv") }
func (d directory) serviceAccountKey() string  { return d.file("service-account.key") }
func (d directory) kubeconfig() string         { return d.file("kubeconfig") }
func (d directory) controllerManagerKubeconfig() string {
	return d.file("kube-controller-manager.kubeconfig")
}
func (d directory) auditPolicy() string { return d.file("audit-policy.yaml") }
func (d directory) auditLog() string    { return d.file("audit.log") }
func (d directory) pids() string        { return d.file("pids.json") }
func (d directory) log(component string) string {
	return d.file(component + ".log")
}

// freshDirectory makes the directory, or empties one of what an earlier control plane left there; it touches nothing
// else in it. The directory is ours until release, or until we die.
func freshDirectory(path string) (directory, error) {
	d := directory{path: path}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return d, err
	}
	lock, err := os.OpenFile(d.file("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return d, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return d, fmt.Errorf("another control plane uses %s: %w", path, err)
	}
	d.lock = lock

	leftovers := []string{
		d.etcdData(), d.certs(), d.tokens(), d.serviceAccountKey(), d.auditPolicy(), d.auditLog(),
		d.kubeconfig(), d.controllerManagerKubeconfig(), d.pids(),
		d.log(etcdName), d.log(apiServerName), d.log(controllerManagerName),
	}
	for _, leftover := range leftovers {
		if err := os.RemoveAll(leftover); err != nil {
			d.release()
			return d, err
		}
	}
	if err := os.WriteFile(d.auditPolicy(), auditPolicy, 0o600); err != nil {
		d.release()
		return d, err
	}
	return d, nil
}

func (d directory) release() { _ = d.lock.Close() }

// writePids tells fault tests which process to kill. A component that is down is not listed.
func (d directory) writePids(children []*child) error {
	pids := map[string]int{}
	for _, c := range children {
		if c.running() {
			pids[c.name] = c.pid()
		}
	}
	text, err := json.Marshal(pids)
	if err != nil {
		return err
	}
	return d.replace(d.pids(), append(text, '\n'))
}

// replace writes a file so that a reader finds the old content or the new, never a part.
func (d directory) replace(path string, content []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
