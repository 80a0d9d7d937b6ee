package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"time"
)

// tally is what load prints every 200 ms: all requests so far.
type tally struct {
	// Kept were sent over connections that are kept open, Fresh over a new one each.
	Kept, Fresh, Failed int
	// Turns counts how often an answer over a fresh connection was of another version than the one before, as a worker sees it.
	Turns int
	// Versions counts the answers over fresh connections since the line before, by the version that gave them.
	Versions  map[string]int
	LastError string
}

// load asks a URL without end: half of the workers keep their connection open for as long as the server does, half make a
// new one for each request. A request is tried again only where every client of Go's does: when the server has closed a kept
// connection before it was used. Nothing counts before the first answer.
func load(url, workers string) error {
	n, err := strconv.Atoi(workers)
	if err != nil {
		return err
	}
	for {
		if _, err := ask(http.DefaultClient, url); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	var mu sync.Mutex
	total := tally{Versions: map[string]int{}}
	for i := range n {
		kept := i%2 == 0
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: !kept}}
		go func() {
			for last := ""; ; {
				version, err := ask(client, url)
				mu.Lock()
				last = total.count(kept, last, version, err)
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		}()
	}
	lines := json.NewEncoder(os.Stdout)
	for range time.Tick(200 * time.Millisecond) {
		mu.Lock()
		err := lines.Encode(total)
		clear(total.Versions)
		mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// count returns the version that answered last.
func (t *tally) count(kept bool, last, version string, err error) string {
	if kept {
		t.Kept++
	} else {
		t.Fresh++
	}
	switch {
	case err != nil:
		t.Failed++
		t.LastError = fmt.Sprintf("%s: %v", time.Now().Format("15:04:05.000"), err)
		return last
	case kept:
		return version
	case last != "" && last != version:
		t.Turns++
	}
	t.Versions[version]++
	return version
}

// ask returns the version that podyard hello says it is. An error tells how far the request came, and over which connection.
func ask(client *http.Client, url string) (string, error) {
	stage := "it was begun"
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		ConnectStart: func(_, address string) { stage = "connecting to " + address + " was begun" },
		GotConn: func(c httptrace.GotConnInfo) {
			stage = fmt.Sprintf("it had the connection from %s (reused: %t)", c.Conn.LocalAddr(), c.Reused)
		},
		WroteRequest: func(w httptrace.WroteRequestInfo) { stage += fmt.Sprintf(", had been written (%v)", w.Err) },
	})
	begin := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w, %s after %s", err, time.Since(begin).Round(time.Millisecond), stage)
	}
	defer response.Body.Close()
	var answer struct{ Version string }
	err = json.NewDecoder(response.Body).Decode(&answer)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return answer.Version, err
}
