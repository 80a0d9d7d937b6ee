package fake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// ErrUnavailable is what every verb gives while the engine restarts, and what a verb gets that the restart interrupts.
var ErrUnavailable = errors.New("cannot connect to the engine")

// Call is one use of a verb.
type Call struct {
	// Verb is the name of the method. Object is "default/web" for a pod, "default/web/main" for a container, the
	// reference for an image, the ID for what never was, and empty where a verb has no object.
	Verb, Object string
	// Begin and End in the engine's time; End is zero while the call is under way.
	Begin, End time.Time
	// Err is what the caller got.
	Err error
}

// Calls returns every call so far, in the order in which they began.
func (e *Engine) Calls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]Call, 0, len(e.calls))
	for _, c := range e.calls {
		out = append(out, *c)
	}
	return out
}

// do is the path of every verb: it is recorded, it may fail, it takes its time, it takes effect, its answer may be lost.
// The effect runs with e.mu held and calls touch if it changes anything.
func (e *Engine) do(ctx context.Context, verb, object string, effect func() error) error {
	call, fault, epoch, latency := e.begin(verb, object)
	err := fault.before(ctx)
	if err == nil {
		err = sleep(ctx, latency+fault.delay())
	}
	if err == nil {
		err = e.apply(epoch, effect)
	}
	if lost := fault.after(ctx); lost != nil {
		err = lost
	}
	return e.end(call, err)
}

// begin records the call and finds what is going to happen to it.
func (e *Engine) begin(verb, object string) (*Call, *Fault, int, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	call := &Call{Verb: verb, Object: e.name(object), Begin: now()}
	e.calls = append(e.calls, call)
	key := verb + " " + call.Object
	e.births[key]++
	return call, e.fault(*call), e.epoch, spread(e.latency(verb, object), verb, call.Object, e.births[key])
}

func (e *Engine) latency(verb, object string) time.Duration {
	if program := e.registry[object]; verb == "PullImage" && program.PullTime > 0 {
		return program.PullTime
	}
	return e.options.Latency[verb]
}

func (e *Engine) apply(epoch int, effect func() error) (err error) {
	e.locked(func() {
		if e.down || e.epoch != epoch {
			err = ErrUnavailable
			return
		}
		err = effect()
	})
	return err
}

// end records the outcome and names the verb and its object in the error.
func (e *Engine) end(call *Call, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("%s: %w", phrase(call.Verb, call.Object), err)
	}
	call.End, call.Err = now(), err
	return err
}

// phrase turns StartContainer and default/web/main into "start container default/web/main".
func phrase(verb, object string) string {
	var b strings.Builder
	for i, r := range verb {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.TrimSpace(b.String() + " " + object)
}
