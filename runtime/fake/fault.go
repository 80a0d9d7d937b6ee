package fake

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrInjected is what a Fault without an error of its own gives.
var ErrInjected = errors.New("injected fault")

// Fault makes calls fail. A call meets the first fault that matches it and no other.
type Fault struct {
	// Verb is the name of the method, or empty for all.
	Verb string
	// Match chooses among the calls of the verb; nil for all. It must not call the engine.
	Match func(Call) bool
	// Times is how many calls meet the fault; zero for all until it is removed.
	Times int

	// Err is what the caller gets; ErrInjected if nil.
	Err error
	// After lets the verb take effect first: the answer is lost.
	After bool
	// Hang keeps the caller until its ctx ends, and returns the error of that.
	Hang bool
	// Delay is added to the latency. A fault with a delay and neither Err, After nor Hang only delays.
	Delay time.Duration

	left int
}

// Inject adds a fault and returns what removes it.
func (e *Engine) Inject(fault Fault) (remove func()) {
	f := &fault
	f.left = f.Times
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, f)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.faults = slices.DeleteFunc(e.faults, func(other *Fault) bool { return other == f })
	}
}

// fault finds the fault that a call meets, and forgets it when it is used up.
func (e *Engine) fault(call Call) *Fault {
	for i, f := range e.faults {
		if f.Verb != "" && f.Verb != call.Verb || f.Match != nil && !f.Match(call) {
			continue
		}
		if f.Times > 0 {
			if f.left--; f.left == 0 {
				e.faults = slices.Delete(e.faults, i, i+1)
			}
		}
		return f
	}
	return nil
}

func (f *Fault) before(ctx context.Context) error {
	if f == nil || f.After {
		return nil
	}
	return f.strike(ctx)
}

func (f *Fault) after(ctx context.Context) error {
	if f == nil || !f.After {
		return nil
	}
	return f.strike(ctx)
}

func (f *Fault) delay() time.Duration {
	if f == nil {
		return 0
	}
	return f.Delay
}

func (f *Fault) strike(ctx context.Context) error {
	switch {
	case f.Hang:
		<-ctx.Done()
		return ctx.Err()
	case f.Err != nil:
		return f.Err
	case f.Delay > 0 && !f.After:
		return nil
	default:
		return ErrInjected
	}
}
