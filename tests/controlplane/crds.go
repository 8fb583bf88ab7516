// The CustomResourceDefinitions a control plane starts with. The garbage collector looks for new kinds only every 30 s:
// one that exists before it starts is collected at once. This file never changes a definition.

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const crdTimeout = 30 * time.Second

// createCRDs returns once the API server serves every kind defined in path, a file or a directory.
func createCRDs(dir directory, path string) error {
	if err := kubectl(dir, "create", "--filename="+path); err != nil {
		return err
	}
	return kubectl(dir, "wait", "--for=condition=Established", "--timeout="+crdTimeout.String(), "crd", "--all")
}

func kubectl(dir directory, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), crdTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append([]string{"kubectl", "--kubeconfig=" + dir.kubeconfig()}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", args[0], err, output)
	}
	return nil
}
