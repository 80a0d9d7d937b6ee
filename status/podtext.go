package status

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// WritePod prints what the page of a pod shows, without the logs.
func WritePod(w io.Writer, s Snapshot, ref Ref, now time.Time) error {
	s.complete()
	s = cleaned(s)
	for _, p := range withHealth(s.Pods, s.Objects) {
		if p.Ref() == ref {
			return writePod(w, s, p, now)
		}
	}
	return fmt.Errorf("%s: %w", ref, ErrNotFound)
}

func writePod(w io.Writer, s Snapshot, p Pod, now time.Time) error {
	t := newTable()
	t.row("Pod:", p.Namespace+"/"+p.Name)
	t.row("State:", p.State)
	t.optional("Message:", p.Message)
	t.optional("Phase:", p.Phase)
	t.row("Ready:", p.Ready)
	t.row("Restarts:", fmt.Sprint(p.Restarts))
	t.optional("Address:", p.IP)
	t.optional("QoS class:", p.QOSClass)
	if p.Owner != nil {
		t.row("Owner:", p.Owner.String())
	}
	t.row("Created:", ageAndTime(p.Created, now))
	if err := t.print(w); err != nil {
		return err
	}
	for _, list := range []list{{"", containerTable(p, now)}, {"", conditionTable(p, now)}, {"", eventTable(s, p.Ref(), now)}} {
		if err := list.table.printBelow(w, list.title); err != nil {
			return err
		}
	}
	return nil
}

// containerTable has a line for each container, and below it why it does not run, and how it ended before.
func containerTable(p Pod, now time.Time) *table {
	t := newTable("CONTAINER", "KIND", "STATE", "READY", "RESTARTS", "SINCE", "IMAGE")
	for _, c := range p.Containers {
		state := c.State
		if c.Reason != "" {
			state += " (" + c.Reason + ")"
		}
		ready := "no"
		if c.Ready {
			ready = "yes"
		}
		since := c.Started
		if c.State != "Running" {
			since = c.Finished
		}
		t.row(c.Name, strings.ToLower(containerKind(c)), state, ready, fmt.Sprint(c.Restarts), age(since, now), c.Image)
		t.note(c.Message)
		if l := c.Last; l != nil {
			t.note(strings.TrimSuffix(fmt.Sprintf("before: %s, exit code %d, %s ago: %s", cmp.Or(l.Reason, "ended"), l.ExitCode, age(l.Finished, now), oneLine(l.Message)), ": "))
		}
	}
	return t
}

func conditionTable(p Pod, now time.Time) *table {
	t := newTable("CONDITION", "STATUS", "SINCE", "REASON")
	for _, c := range p.Conditions {
		t.row(c.Type, string(c.Status), age(c.LastTransitionTime.Time, now), cmp.Or(c.Reason, "-"))
		t.note(c.Message)
	}
	return t
}

func eventTable(s Snapshot, ref Ref, now time.Time) *table {
	t := newTable("EVENT", "AGE", "COUNT", "MESSAGE")
	for _, e := range s.Events {
		if e.Object == ref {
			t.row(e.Reason, age(e.Time, now), fmt.Sprint(e.Count), e.Message)
		}
	}
	return t
}
