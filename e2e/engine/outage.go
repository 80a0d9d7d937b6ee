package engine

import (
	"context"
	"errors"
	"sync"
	"time"
)

// quiet is how long everything must have answered until an outage is over; patience how long it may last.
const (
	quiet    = 3 * time.Second
	patience = 2 * time.Minute
)

// Outage does harm, and asks web servers on port 80 of all addresses meanwhile and afterwards, until all have answered for
// three seconds and the pods have settled. It returns how long after the harm began one did not answer for the last time.
func (e *Engine) Outage(addresses []string, harm func() error, settled func() bool) (time.Duration, error) {
	watch := &watch{began: time.Now()}
	ctx, stop := context.WithCancel(context.Background())
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		for ctx.Err() == nil {
			if !e.answer(addresses) {
				watch.failed()
			}
		}
	}()
	defer func() { stop(); <-asking }()
	if err := harm(); err != nil {
		return 0, err
	}
	for time.Since(watch.began) < patience {
		if last := watch.lastFailure(); time.Since(watch.began.Add(last)) > quiet && settled() {
			return last, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0, errors.New("two minutes later not everything serves again")
}

// watch remembers the last failure, as the time since the watch began.
type watch struct {
	began time.Time
	mu    sync.Mutex
	last  time.Duration
}

func (w *watch) failed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Since(w.began)
}

func (w *watch) lastFailure() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// answer tells whether a web server answers at every address, asked from the engine's host.
func (e *Engine) answer(addresses []string) bool {
	const ask = `for a; do
		timeout 1 bash -c 'exec 3<>/dev/tcp/$0/80; printf "GET / HTTP/1.0\r\n\r\n" >&3; read -r line <&3; [[ $line == *" 200 "* ]]' "$a" 2>/dev/null || exit 1
	done`
	return e.Inside("bash", append([]string{"-c", ask, "ask"}, addresses...)...).Run() == nil
}
