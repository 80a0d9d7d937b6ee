package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// The program in the pods of the data plane's benchmarks is bench itself:
//
//	bench peer serve                      on 8000 swallow, on 8001 answer, on 8002 answer once a connection
//	bench peer names                      a bare name server: one name, one address
//	bench peer stream ADDRESS             prints bytes a second of one connection
//	bench peer ask ADDRESS CLIENTS        prints requests a second over connections that are kept
//	bench peer connect ADDRESS CLIENTS    prints requests a second, each over a connection of its own
//	bench peer count ADDRESS N            prints who answered how many of N connections
//	bench peer resolve NAME               prints addresses
//	bench peer query SERVER NAME CLIENTS  prints queries a second, each from a socket of its own

// measured is how long each program measures, after settling for a tenth of it.
const measured = 2 * time.Second

// request is as short as one of HTTP may be.
var request = []byte("GET / HTTP/1.1\r\nHost: peer\r\n\r\n")

func peer(args []string) error {
	clients := func(i int) int {
		n, _ := strconv.Atoi(args[i]) // what is no number does nothing, and prints 0
		return n
	}
	switch args[0] {
	case "serve":
		return serve()
	case "names":
		return serveNames()
	case "stream":
		return stream(args[1])
	case "ask":
		return rate(clients(2), func() (func() error, error) { return keeping(args[1]) })
	case "connect":
		return rate(clients(2), func() (func() error, error) {
			return func() error { _, err := once(args[1]); return err }, nil
		})
	case "count":
		return count(args[1], clients(2))
	case "resolve":
		addresses, err := net.LookupHost(args[1])
		fmt.Println(strings.Join(addresses, " "))
		return err
	case "query":
		return rate(clients(3), func() (func() error, error) { return querying(args[1], args[2]) })
	}
	return fmt.Errorf("unknown peer %q", args[0])
}

// serve has Go's web server answer, which is what a request costs at least in most programs.
func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) } // the client went away
	last := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		answer(w, r)
	}
	failed := make(chan error)
	go func() { failed <- swallow(":8000") }()
	go func() { failed <- http.ListenAndServe(":8001", http.HandlerFunc(answer)) }()
	go func() { failed <- http.ListenAndServe(":8002", http.HandlerFunc(last)) }()
	return <-failed
}

// swallow reads whatever comes.
func swallow(address string) error {
	socket, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	for {
		conn, err := socket.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(io.Discard, conn) // the client ends it
			conn.Close()
		}()
	}
}

func serveNames() error {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg).SetReply(query)
		answer.Answer = []dns.RR{&dns.A{A: net.IPv4(10, 0, 0, 1),
			Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}}}
		_ = w.WriteMsg(answer) // the client went away
	})
	return dns.ListenAndServe(":53", "udp4", handler)
}

// stream writes for as long as is measured, and counts what the other end has taken but for a buffer.
func stream(address string) error {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	block, sent := make([]byte, 256<<10), 0
	write := func(until time.Time) error {
		for time.Now().Before(until) {
			n, err := conn.Write(block)
			if sent += n; err != nil {
				return err
			}
		}
		return nil
	}
	if err := write(time.Now().Add(measured / 10)); err != nil {
		return err
	}
	begin := time.Now()
	sent = 0
	if err := write(begin.Add(measured)); err != nil {
		return err
	}
	fmt.Printf("%.0f\n", float64(sent)/time.Since(begin).Seconds())
	return nil
}

// rate has so many clients work at once, and prints how often they did in a second.
func rate(clients int, newClient func() (func() error, error)) error {
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	total := 0
	begin := time.Now().Add(measured / 10)
	for range clients {
		work, err := newClient()
		if err != nil {
			return err
		}
		group.Go(func() {
			done, err := 0, error(nil)
			for err == nil && time.Since(begin) < measured {
				if err = work(); time.Now().After(begin) {
					done++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total, failed = total+done, errors.Join(failed, err)
		})
	}
	group.Wait()
	fmt.Printf("%.0f\n", float64(total)/measured.Seconds())
	return failed
}

// keeping asks over one connection.
func keeping(address string) (func() error, error) {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return nil, err
	}
	buffer := make([]byte, 4096)
	return func() error {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		_, err := conn.Read(buffer)
		return err
	}, nil
}

// once asks over a connection of its own, which the server ends, and returns what was answered.
func once(address string) (string, error) {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	return body, err
}

// count prints the numbers of answers, the smallest first.
func count(address string, n int) error {
	by := map[string]int{}
	for range n {
		name, err := once(address)
		if err != nil {
			return err
		}
		by[name]++
	}
	var numbers []string
	for _, name := range slices.SortedFunc(maps.Keys(by), func(a, b string) int { return by[a] - by[b] }) {
		numbers = append(numbers, strconv.Itoa(by[name]))
	}
	fmt.Println(strings.Join(numbers, " "))
	return nil
}

// querying asks a name server for one address, as resolvers do from another port each time.
func querying(server, name string) (func() error, error) {
	query, err := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).Pack()
	if err != nil {
		return nil, err
	}
	buffer := make([]byte, 512)
	return func() error {
		conn, err := net.Dial("udp4", net.JoinHostPort(server, "53"))
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second)) // a lost datagram must not hold the benchmark up
		if _, err := conn.Write(query); err != nil {
			return err
		}
		n, err := conn.Read(buffer)
		if err == nil && (n < 12 || buffer[3]&0xf != 0 || buffer[7] != 1) {
			err = fmt.Errorf("no address: % x", buffer[:n])
		}
		return err
	}, nil
}
