package hello

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"sync"
	"time"
)

// Tally is one line of a visitor: what it was told since the first answer.
type Tally struct {
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
	// Versions counts answers by the version that gave them, within the last second.
	Versions map[string]int `json:"versions"`
	// LastError is the newest failure.
	LastError string `json:"lastError,omitempty"`
}

// visit asks a URL again and again, each time over a new connection, and prints a Tally every second.
func visit(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("visit", flag.ContinueOnError)
	url := flags.String("url", "http://web", "what to ask")
	every := flags.Duration("every", 20*time.Millisecond, "pause between two questions")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var mu sync.Mutex
	tally := Tally{Versions: map[string]int{}}
	go func() {
		for ctx.Err() == nil {
			var a Answer
			err := get(ctx, client, *url, &a)
			if ctx.Err() != nil {
				return
			}
			mu.Lock()
			tally.count(a, err)
			mu.Unlock()
			time.Sleep(*every)
		}
	}()
	lines, tick := json.NewEncoder(out), time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		mu.Lock()
		err := lines.Encode(tally)
		clear(tally.Versions)
		mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// count leaves out failures before the first answer: the server may still be starting.
func (t *Tally) count(a Answer, err error) {
	if err != nil && t.Requests == 0 {
		return
	}
	t.Requests++
	if err != nil {
		t.Failed++
		t.LastError = err.Error()
		return
	}
	t.Versions[a.Version]++
}
