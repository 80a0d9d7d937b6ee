package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
)

func main() {
	what, address := os.Args[1], ":"+os.Args[2]
	log.SetFlags(0)
	switch what {
	case "http":
		log.Fatal(http.ListenAndServe(address, http.HandlerFunc(answer)))
	case "https":
		log.Fatal(serveTLS(address))
	case "grpc":
		log.Fatal(serveGRPC(address, os.Args[3]))
	case "udp":
		log.Fatal(serveUDP(address))
	case "lookup":
		if err := lookup(os.Args[2], os.Args[3]); err != nil {
			log.Fatal(err)
		}
	case "flip":
		log.Fatal(flip(address))
	case "load":
		log.Fatal(load(os.Args[2], os.Args[3]))
	}
}

// answer prints a request as "GET /path host=example.com agent=kube-probe/1.37 x-test=a,b".
func answer(w http.ResponseWriter, r *http.Request) {
	line := fmt.Sprintf("%s %s host=%s agent=%s", r.Method, r.URL, r.Host, r.UserAgent())
	if r.TLS != nil {
		line += " tls"
	}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") {
			line += fmt.Sprintf(" %s=%s", strings.ToLower(name), strings.Join(values, ","))
		}
	}
	fmt.Println(line)
	fmt.Fprintln(w, "ok")
}

func serveTLS(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	config := &tls.Config{Certificates: certificates.TLS.Certificates}
	return http.Serve(tls.NewListener(listener, config), http.HandlerFunc(answer))
}

// serveGRPC answers grpc.health.v1.Health/Check: a request is five bytes of framing and a message whose first field is
// the service's name; so is the answer, with the status: 1 is SERVING, 2 NOT_SERVING.
func serveGRPC(address, service string) error {
	server := &http.Server{Addr: address, Protocols: &http.Protocols{}}
	server.Protocols.SetUnencryptedHTTP2(true)
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, _ := io.ReadAll(r.Body) // what is missing is no service's name
		asked := ""
		if len(request) > 7 {
			asked = string(request[7:])
		}
		fmt.Printf("%s %q\n", r.URL.Path, asked)
		status := byte(2)
		if asked == service {
			status = 1
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, status}) // the prober has gone if this fails
		w.Header().Set("Grpc-Status", "0")
	})
	return server.ListenAndServe()
}

func serveUDP(address string) error {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	for buffer := make([]byte, 1500); ; {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo(buffer[:n], from); err != nil {
			return err
		}
	}
}
