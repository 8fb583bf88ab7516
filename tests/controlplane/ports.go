// Free ports on the loopback interface. A port found free may be taken before it is used; `up` then starts afresh.
// This file never keeps a port open.

package main

import (
	"fmt"
	"net"
)

const loopback = "127.0.0.1"

type port int

// url is the address of what listens on the port.
func (p port) url(scheme string) string { return fmt.Sprintf("%s://%s:%d", scheme, loopback, int(p)) }

type ports struct {
	etcdClient, etcdPeer, apiServer port
}

func freePorts() (ports, error) {
	var p ports
	for _, target := range []*port{&p.etcdClient, &p.etcdPeer, &p.apiServer} {
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return p, err
		}
		defer listener.Close() // only at the end, so that the three differ
		*target = port(listener.Addr().(*net.TCPAddr).Port)
	}
	return p, nil
}
