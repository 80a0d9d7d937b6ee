package ingress

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// stallSoon shortens the time that clients have.
func stallSoon(t *testing.T) {
	before := stallTimeout
	stallTimeout = 300 * time.Millisecond
	t.Cleanup(func() { stallTimeout = before })
}

func TestAClientThatStopsSendingIsLetGo(t *testing.T) {
	stallSoon(t)
	l := newLab(t)
	ended := make(chan error, 1)
	l.service("web", serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}))
	l.ingress("web", "shop.test/ web")
	l.apply()
	conn, err := net.Dial("tcp", l.plain)
	must(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000\r\n\r\nbegin")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the backend takes it for the whole body")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the backend waits still")
	}
	must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	if answer, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection is open still: %.40q, %v", answer, err)
	}
}

func TestAClientThatStopsReadingIsLetGo(t *testing.T) {
	stallSoon(t)
	l := newLab(t)
	ended := make(chan struct{})
	l.service("web", serve(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		part := make([]byte, 64<<10)
		for {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	}))
	l.ingress("web", "shop.test/ web")
	l.apply()
	conn, err := net.Dial("tcp", l.plain)
	must(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the backend writes still")
	}
}

func TestAPauseBetweenPartsIsNoStall(t *testing.T) {
	stallSoon(t)
	l := newLab(t)
	l.service("web", serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			io.WriteString(w, "part ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(2 * stallTimeout)
		}
	}))
	l.ingress("web", "shop.test/ web").Annotations["podyard.dev/ssl-redirect"] = "false"
	l.apply()
	for _, url := range []string{"http://shop.test/", "https://shop.test/", "http://shop.test/"} {
		if _, body := l.get(url); body != "part part part " {
			t.Errorf("%s: %q", url, body)
		}
	}
}
