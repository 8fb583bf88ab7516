// What ends `controlplane up`: a signal, the end of standard input, the death of its parent. This file only reports
// the reason; it never ends anything itself.

package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// parentCheck is how often we look whether our parent is still there.
const parentCheck = 200 * time.Millisecond

// startedBy is read while the package is initialised: the later, the more likely that the parent has already died.
var startedBy = os.Getppid()

// reasonsToEnd gives a channel on which every reason to end arrives, the first of which starts the shutdown.
func reasonsToEnd(opts options) <-chan string {
	reasons := make(chan string)

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			reasons <- s.String()
		}
	}()

	if opts.untilStdinCloses {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // an error ends standard input as well
			reasons <- "standard input closed"
		}()
	}
	if opts.untilParentDies {
		go func() {
			awaitParentDeath()
			reasons <- "parent process ended"
		}()
	}
	return reasons
}

// awaitParentDeath returns once another process has become our parent.
//
// PR_SET_PDEATHSIG would say so at once, but it fires when the parent's *thread* ends, and test runners start each test
// on a thread of its own: a control plane that several tests share would end with the first of them.
func awaitParentDeath() {
	// Process 1 adopts orphans: if it is our parent this early, the real one died before we could look.
	for startedBy != 1 && os.Getppid() == startedBy {
		time.Sleep(parentCheck)
	}
}
