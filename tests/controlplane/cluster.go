// One control plane from start to end: starts the components in order, waits until the cluster can be used, watches
// over them and ends them. It never knows their flags (components.go) or how a process is run (child.go).

package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	startTimeout = 2 * time.Minute // generous: a busy two-core machine needs well under 30 s
	startPoll    = 25 * time.Millisecond
	restartDelay = time.Second
)

var (
	errPortTaken = errors.New("a port was taken by another process")
	errEnd       = errors.New("told to end")
)

type cluster struct {
	dir      directory
	children []*child // in the order of their start, etcd first
	exits    chan *child
	reasons  <-chan string
	say      func(format string, args ...any)
}

// runCluster starts a control plane in opts.dir and returns once all of its processes have ended: nil when it was told
// to end, an error when it failed.
func runCluster(opts options, reasons <-chan string, say func(string, ...any)) error {
	dir, err := freshDirectory(opts.dir)
	if err != nil {
		return err
	}
	defer dir.release()

	c := &cluster{
		dir:     dir,
		exits:   make(chan *child, 3), // room for each component's exit, so that no sender ever waits
		reasons: reasons,
		say:     say,
	}
	defer c.end()

	err = c.start(opts.crds)
	if err == nil {
		say("ready")
		fmt.Printf("ready %s\n", dir.kubeconfig())
		err = c.watch(opts.restart)
	}
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// start returns once clients can use the cluster: the API server is ready and a pod's needs, the default namespace and
// its ServiceAccount, exist.
func (c *cluster) start(crds string) error {
	p, err := freePorts()
	if err != nil {
		return err
	}
	tokens, err := writeCredentials(c.dir)
	if err != nil {
		return err
	}

	if err := c.add(etcdName, etcdArgs(c.dir, p)); err != nil {
		return err
	}
	if err := c.await("etcd", func() error { return etcdReady(p.etcdClient) }); err != nil {
		return err
	}

	if err := c.add(apiServerName, apiServerArgs(c.dir, p)); err != nil {
		return err
	}
	var api *apiClient
	connect := func() (err error) {
		api, err = newAPIClient(c.dir, p.apiServer, tokens.admin)
		return err
	}
	if err := c.await("the API server's certificate", connect); err != nil {
		return err
	}
	if err := writeKubeconfigs(c.dir, api, tokens); err != nil {
		return err
	}
	if err := c.await("the API server", func() error { return api.get("/readyz") }); err != nil {
		return err
	}

	if crds != "" {
		if err := createCRDs(c.dir, crds); err != nil {
			return err
		}
		c.say("created the CustomResourceDefinitions in %s", crds)
	}

	// The controller manager gives up when it finds no API server within seconds, so it is the last to start.
	if err := c.add(controllerManagerName, controllerManagerArgs(c.dir)); err != nil {
		return err
	}
	if err := c.await("the default namespace", func() error { return api.get("/api/v1/namespaces/default") }); err != nil {
		return err
	}
	return c.await("the default ServiceAccount", func() error {
		return api.get("/api/v1/namespaces/default/serviceaccounts/default")
	})
}

// add starts a component.
func (c *cluster) add(name string, args []string) error {
	child := &child{name: name, args: args, log: c.dir.log(name)}
	if err := child.start(c.exits); err != nil {
		return err
	}
	c.children = append(c.children, child)
	c.say("started %s (process %d)", name, child.pid())
	return c.dir.writePids(c.children)
}

// await repeats ready until it succeeds.
func (c *cluster) await(what string, ready func() error) error {
	timeout := time.After(startTimeout)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case why := <-c.reasons:
			return c.told(why)
		case dead := <-c.exits:
			if dead.portTaken() {
				return errPortTaken
			}
			return dead.failure()
		case <-timeout:
			return fmt.Errorf("waited %s for %s: %w (logs in %s)", startTimeout, what, err, c.dir.path)
		case <-time.After(startPoll):
		}
	}
}

// watch returns when it is told to end, or when a component dies that is not to be restarted.
func (c *cluster) watch(restart bool) error {
	restarts := make(chan *child, len(c.children))
	for {
		select {
		case why := <-c.reasons:
			return c.told(why)
		case dead := <-c.exits:
			if !restart {
				return dead.failure()
			}
			c.say("%s ended (%s), restarting it in %s", dead.name, dead.state(), restartDelay)
			if err := c.dir.writePids(c.children); err != nil {
				return err
			}
			time.AfterFunc(restartDelay, func() { restarts <- dead })
		case dead := <-restarts:
			if err := dead.start(c.exits); err != nil {
				return err
			}
			c.say("restarted %s (process %d)", dead.name, dead.pid())
			if err := c.dir.writePids(c.children); err != nil {
				return err
			}
		}
	}
}

func (c *cluster) told(why string) error {
	c.say("ending: %s", why)
	return errEnd
}

// end ends every component, etcd last: the others would only wait for it.
func (c *cluster) end() {
	if len(c.children) == 0 {
		return
	}
	endChildren(c.children[1:], c.reasons)
	endChildren(c.children[:1], c.reasons)
	if err := c.dir.writePids(c.children); err != nil && !os.IsNotExist(err) { // a test may have removed the directory
		c.say("%s", err)
	}
	c.say("ended")
}
