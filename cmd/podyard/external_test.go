package main

import (
	"net"
	"slices"
	"testing"
)

func TestExternalIPs(t *testing.T) {
	for _, c := range []struct {
		name, engine, hostIP string
		given, want          []string
	}{
		{name: "given", engine: "tcp://192.0.2.7:2376", given: []string{"203.0.113.7", "2001:db8::7"}, want: []string{"203.0.113.7", "2001:db8::7"}},
		{name: "a remote engine", engine: "tcp://192.0.2.7:2376", want: []string{"192.0.2.7"}},
		{name: "a remote engine by ssh", engine: "ssh://root@192.0.2.7", want: []string{"192.0.2.7"}},
		{name: "a remote engine by name", engine: "ssh://root@engine.example.org"},
		{name: "an engine behind a proxy on this machine", engine: "tcp://127.0.0.1:2375"},
		{name: "another network than the host's", engine: "unix:///var/run/docker.sock", hostIP: "192.0.2.99"},
		{name: "before the network is made"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := externalIPs(c.given, c.engine)(c.hostIP); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestExternalIPOfThisHost: a process on the engine's host has the address that pods see, among its own.
func TestExternalIPOfThisHost(t *testing.T) {
	got := externalIPs(nil, "")("127.0.0.1")
	if want := outgoingIP(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, ip := range got {
		if !hasInterface(ip) || net.ParseIP(ip).IsLoopback() {
			t.Errorf("%s is of no interface that leads out", ip)
		}
	}
}

func TestExternalIPsThatCannotBe(t *testing.T) {
	for text, ok := range map[string]bool{"203.0.113.7": true, "2001:db8::7": true, "host.example.org": false, "0.0.0.0": false, "": false} {
		if err := checkExternalIPs([]string{text}); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
