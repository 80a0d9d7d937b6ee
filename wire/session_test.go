package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type question struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

type reply struct {
	ID    string `json:"id"`
	Error string `json:"error,omitempty"`
	Text  string `json:"text,omitempty"`
}

func (r reply) Request() string { return r.ID }
func (r reply) Failure() string { return r.Error }

// parrot is an agent that repeats what it is told, fails to "fail", and keeps silent to "silence".
func parrot(t *testing.T) *Session[reply] {
	t.Helper()
	daemon, ours := net.Pipe()
	answers := NewAnswers(slog.New(slog.DiscardHandler))
	go answers.Write(t.Context(), ours)
	go Listen(t.Context(), ours, func(line []byte) {
		var q question
		if json.Unmarshal(line, &q) != nil || q.Text == "silence" {
			return
		}
		answers.Add(map[string]string{"id": "another daemon's", "text": "not for you"})
		r := reply{ID: q.ID, Text: q.Text}
		if q.Text == "fail" {
			r = reply{ID: q.ID, Error: "as asked"}
		}
		answers.Add(r)
	})
	s := NewSession[reply](daemon)
	t.Cleanup(func() { s.Close() })
	return s
}

func ask(ctx context.Context, s *Session[reply], text string) (string, error) {
	r, err := s.Call(ctx, func(id string) any { return question{id, text} })
	return r.Text, err
}

func TestAnAnswerReachesWhoAsked(t *testing.T) {
	s := parrot(t)
	for _, text := range []string{"hello", "two\nlines", strings.Repeat("x", 1<<20)} {
		if got, err := ask(t.Context(), s, text); got != text || err != nil {
			t.Errorf("%.20q became %.20q, %v", text, got, err)
		}
	}
	if _, err := ask(t.Context(), s, "fail"); err == nil || err.Error() != "as asked" {
		t.Errorf("a failure: %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := ask(soon, s, "silence"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	s.Close()
	<-s.Done()
	if _, err := ask(t.Context(), s, "hello"); !errors.Is(err, ErrClosed) || !errors.Is(s.Err(), ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAnswersThatNobodyReadsAreDropped(t *testing.T) {
	answers := NewAnswers(slog.New(slog.DiscardHandler))
	for range 2 * maxAnswers {
		answers.Add(reply{ID: "a"})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	go answers.Write(ctx, in)
	line := make([]byte, len(`{"id":"a"}`)+1)
	if _, err := io.ReadFull(out, line); err != nil || !bytes.HasPrefix(line, []byte(`{"id":"a"}`)) {
		t.Errorf("%s, %v", line, err)
	}
}

func TestStateIsReplacedAsAWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	var none question
	if err := ReadState(path, &none); err != nil || none.Text != "" {
		t.Errorf("where there is none: %+v, %v", none, err)
	}
	for _, text := range []string{"first", "second"} {
		if err := WriteState(path, question{Text: text}); err != nil {
			t.Fatal(err)
		}
		var read question
		if err := ReadState(path, &read); err != nil || read.Text != text {
			t.Errorf("%+v, %v", read, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left beside the file: %v", entries)
	}
	if ReadState("", &none) != nil || WriteState("", none) != nil {
		t.Error("no name is an error")
	}
}
