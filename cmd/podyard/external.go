package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
)

// checkExternalIPs refuses what no client could connect to.
func checkExternalIPs(given []string) error {
	for _, text := range given {
		if ip, err := netip.ParseAddr(text); err != nil || ip.IsUnspecified() {
			return fmt.Errorf("--external-ip %s: is not an IP address at which clients could reach the host", text)
		}
	}
	return nil
}

// externalIPs are the addresses at which clients reach the ports of the engine's host: those given; else that of a remote engine;
// else, on the engine's host, that of the interface which leads out. Without any, nobody knows. hostIP is the host's address as pods
// see it, from which it is known whether this is the engine's host and its network.
func externalIPs(given []string, dockerHost string) func(hostIP string) []string {
	if ip := remoteIP(dockerHost); ip != "" && len(given) == 0 {
		given = []string{ip}
	}
	return func(hostIP string) []string {
		if len(given) > 0 || !hasInterface(hostIP) {
			return given
		}
		return outgoingIP()
	}
}

// remoteIP is that in a DOCKER_HOST of tcp:// or ssh://; empty if it names none, or this machine.
func remoteIP(dockerHost string) string {
	engine, err := url.Parse(dockerHost)
	if err != nil || engine.Scheme != "tcp" && engine.Scheme != "ssh" {
		return ""
	}
	ip, err := netip.ParseAddr(engine.Hostname())
	if err != nil || ip.IsLoopback() || ip.IsUnspecified() {
		return ""
	}
	return ip.String()
}

func hasInterface(ip string) bool {
	addresses, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, is := a.(*net.IPNet)
		return is && prefix.IP.String() == ip
	})
}

// outgoingIP asks the kernel from where it would send to an address of nobody (RFC 5737); nothing is sent.
func outgoingIP() []string {
	connection, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return nil
	}
	defer connection.Close()
	return []string{connection.LocalAddr().(*net.UDPAddr).IP.String()}
}
