// One component's process: how it is started, that it cannot outlive us, how it is ended. It never decides when.

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	endGrace  = 5 * time.Second // between SIGTERM and SIGKILL
	tailLines = 15              // of a dead component's log
)

type child struct {
	name string
	args []string
	log  string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// start runs the component, anew if it has ended, and sends the child to exits when its process ends.
// Only the goroutine of `up` may call it (see there).
func (c *child) start(exits chan<- *child) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own copy

	cmd := exec.Command(self, append([]string{c.name}, c.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// However we die, the kernel kills the child. Not SIGTERM: an API server that has lost etcd takes its time.
		Pdeathsig: syscall.SIGKILL,
		// A Ctrl-C in the terminal reaches us alone, and we end the children in order.
		Setpgid: true,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	done := make(chan struct{})
	c.cmd, c.done = cmd, done
	go func() {
		_ = cmd.Wait() // its result is in cmd.ProcessState
		close(done)
		exits <- c
	}()
	return nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// state says how a process that has ended did so.
func (c *child) state() string { return c.cmd.ProcessState.String() }

// failure is the error that a component's unexpected end is.
func (c *child) failure() error {
	return fmt.Errorf("%s ended by itself (%s); the end of %s:\n%s", c.name, c.state(), c.log, c.logTail())
}

func (c *child) logTail() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// portTaken tells whether a component that has ended did so because it could not listen.
func (c *child) portTaken() bool {
	text, err := os.ReadFile(c.log)
	return err == nil && bytes.Contains(text, []byte(syscall.EADDRINUSE.Error()))
}

// endChildren returns once all of these have ended: asked first, killed when the grace is over or when a further reason
// to end arrives (an impatient second Ctrl-C).
func endChildren(children []*child, reasons <-chan string) {
	signalAll(children, syscall.SIGTERM)
	grace := time.After(endGrace)
	for _, c := range children {
		select {
		case <-c.done:
			continue
		case <-grace:
		case <-reasons:
		}
		break
	}
	signalAll(children, syscall.SIGKILL)
	for _, c := range children {
		<-c.done
	}
}

func signalAll(children []*child, s syscall.Signal) {
	for _, c := range children {
		_ = c.cmd.Process.Signal(s) // it fails only on a process that has already ended
	}
}
