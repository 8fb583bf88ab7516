// The etcd component: one member without durability, for data that is thrown away. It never knows of the others.

package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

func runEtcd(args []string) int {
	if err := serveEtcd(args); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	return 0
}

// serveEtcd serves until SIGTERM or SIGINT.
func serveEtcd(args []string) error {
	flags := flag.NewFlagSet(etcdName, flag.ExitOnError)
	dataDir := flags.String("data-dir", "", "data directory")
	clientURL := flags.String("client-url", "", "URL to serve clients on")
	peerURL := flags.String("peer-url", "", "URL to serve peers on; there are none, but a member has one")
	_ = flags.Parse(args) // it exits on an error

	client, err := url.Parse(*clientURL)
	if err != nil {
		return err
	}
	peer, err := url.Parse(*peerURL)
	if err != nil {
		return err
	}

	cfg := embed.NewConfig()
	cfg.Name = "controlplane"
	cfg.Dir = *dataDir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true // a killed process loses nothing by it; only a machine that goes down does
	cfg.LogLevel = "warn"

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)

	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}
