// `controlplane up`: its flags, its output and its exit code. It never touches a process or a file itself: the cluster
// does (cluster.go).

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// portAttempts is how often `up` starts afresh when another process takes a port between our choosing and our using it.
const portAttempts = 5

type options struct {
	dir              string
	crds             string
	ephemeral        bool
	restart          bool
	untilStdinCloses bool
	untilParentDies  bool
	quiet            bool
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("controlplane up", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "", "directory for data, certificates, logs, audit.log, kubeconfig and pids.json (required)")
	flags.StringVar(&o.crds, "crds", "", "file or directory of CustomResourceDefinitions to create before the garbage collector starts")
	flags.BoolVar(&o.ephemeral, "ephemeral", false, "remove the directory when told to end; after a failure it stays, for its logs")
	flags.BoolVar(&o.restart, "restart", false, "restart a component that dies once the control plane is ready, instead of ending")
	flags.BoolVar(&o.untilStdinCloses, "until-stdin-closes", false, "end when standard input reaches its end")
	flags.BoolVar(&o.untilParentDies, "until-parent-dies", false, "end when the process that started this one is gone")
	flags.BoolVar(&o.quiet, "quiet", false, "no progress on standard error; errors are still shown")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.dir == "" || flags.NArg() > 0 {
		flags.Usage()
		return o, errors.New("--dir DIR is required, and there are no other arguments")
	}
	dir, err := filepath.Abs(o.dir)
	o.dir = dir
	return o, err
}

func up(args []string) int {
	// Linux ends a child when the *thread* that started it ends (Pdeathsig, child.go). Every child is started by this
	// goroutine, and the thread it is locked to lives as long as the process.
	runtime.LockOSThread()

	opts, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		return 2
	}
	say := progress(opts.quiet)
	reasons := reasonsToEnd(opts)

	for attempt := 1; ; attempt++ {
		err = runCluster(opts, reasons, say)
		if !errors.Is(err, errPortTaken) || attempt == portAttempts {
			break
		}
		say("another process took one of the ports; trying others")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		return 1
	}
	if opts.ephemeral {
		if err := os.RemoveAll(opts.dir); err != nil {
			fmt.Fprintln(os.Stderr, "controlplane:", err)
			return 1
		}
	}
	return 0
}

// progress gives the function that tells people what happens: one line each, with the seconds since the start.
func progress(quiet bool) func(format string, args ...any) {
	out := io.Writer(os.Stderr)
	if quiet {
		out = io.Discard
	}
	start := time.Now()
	return func(format string, args ...any) {
		fmt.Fprintf(out, "controlplane: %5.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
}
