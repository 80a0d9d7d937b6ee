package fake_test

import (
	"errors"
	"testing"
	"time"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func TestATagThatMovesIsSeenByTheNextPullOnly(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		before, err := h.PullImage(h.ctx, "app:v1", nil)
		h.must(err)
		h.Push("app:v1", fake.Program{StartError: "broken"})
		if status, err := h.ImageStatus(h.ctx, "app:v1"); err != nil || status != before {
			t.Errorf("before the pull the image is %+v, %v; want %+v", status, err, before)
		}
		h.pod("web")
		after, err := h.PullImage(h.ctx, "app:v1", nil)
		h.must(err)
		if after.ID == before.ID || after.Digest == before.Digest || !after.PulledAt.After(before.PulledAt) {
			t.Errorf("the pull turned %+v into %+v", before, after)
		}
		if c := h.onlyContainer(); c.ImageID != before.ID || c.State != runtime.Running {
			t.Errorf("the container is %s with %s; want Running with %s", c.State, c.ImageID, before.ID)
		}
	})
}

func TestAPullTakesItsTimeAndMayFail(t *testing.T) {
	on(t, fake.Options{Images: map[string]fake.Program{
		"slow:v1": {PullTime: time.Hour}, "gone:v1": {Missing: true}, "secret:v1": {PullError: "unauthorized"},
	}}, fake.Program{}, func(h host) {
		begin := time.Now()
		if _, err := h.PullImage(h.ctx, "slow:v1", nil); err != nil || time.Since(begin) < time.Hour {
			t.Errorf("the slow image came after %s: %v", time.Since(begin), err)
		}
		if _, err := h.PullImage(h.ctx, "gone:v1", nil); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("the missing image says %v; want ErrNotFound", err)
		}
		if _, err := h.PullImage(h.ctx, "secret:v1", nil); err == nil || errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("the forbidden image says %v; want an error, and not ErrNotFound", err)
		}
	})
}

func TestANewDaemonKnowsNoPulls(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		image, err := h.PullImage(h.ctx, "app:v1", nil)
		h.must(err)
		h.Reconnect()
		state, err := h.State(h.ctx)
		h.must(err)
		if len(state.Images) != 0 {
			t.Errorf("the state tells of %v, for which the new daemon did not ask", state.Images)
		}
		status, err := h.ImageStatus(h.ctx, "app:v1")
		h.must(err)
		if status.ID != image.ID || !status.PulledAt.IsZero() {
			t.Errorf("the image is %+v; want the ID of %+v and no time", status, image)
		}
	})
}

func TestAnImageRemovedFromTheHostMustBePulledAgain(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		h.pod("web")
		h.RemoveImage("app:v1")
		if _, err := h.ImageStatus(h.ctx, "app:v1"); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("ImageStatus says %v; want ErrNotFound", err)
		}
		if c := h.onlyContainer(); c.State != runtime.Running {
			t.Errorf("the container is %s; want Running", c.State)
		}
		_, err := h.PullImage(h.ctx, "app:v1", nil)
		h.must(err)
		h.pod("next")
	})
}
