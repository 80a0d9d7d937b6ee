package deploy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/status"
)

// momentForm is git's NAME@{WHEN}; the name says nothing here, where there is one branch.
var momentForm = regexp.MustCompile(`^[^@{}]*@\{([^{}]+)\}$`)

// agoForm is "2 days ago", or "2.days.ago" as it need not be quoted in a shell.
var agoForm = regexp.MustCompile(`^(\d{1,6})[ .](second|minute|hour|day|week|month|year)s?[ .]ago$`)

// momentLayouts are the dates that are understood, the local time zone's if they name none.
var momentLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// parseMoment reads the WHEN of NAME@{WHEN} as git does, as far as people write it (gitrevisions(7), date.c): "yesterday", "2 days ago",
// a date with or without a time. A day alone is its beginning; git takes the time of day that it is now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	switch text {
	case "now":
		return now, nil
	case "yesterday":
		return now.AddDate(0, 0, -1), nil
	}
	if m := agoForm.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		switch m[2] {
		case "month":
			return now.AddDate(0, -n, 0), nil
		case "year":
			return now.AddDate(-n, 0, 0), nil
		case "week":
			return now.AddDate(0, 0, -7*n), nil
		case "day":
			return now.AddDate(0, 0, -n), nil
		}
		unit := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}[m[2]]
		return now.Add(-time.Duration(n) * unit), nil
	}
	for _, layout := range momentLayouts {
		if at, err := time.ParseInLocation(layout, strings.ToUpper(text), now.Location()); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no moment: write yesterday, 2 days ago, or 2026-05-01 18:30", text)
}

// revisionAt finds the revision that NAME@{WHEN} means: the one that was applied then, or, with a number for WHEN, the one applied so
// many before the newest. ok is false for a name of another form.
func (d *Deployer) revisionAt(rev string) (found history.Revision, ok bool, err error) {
	m := momentForm.FindStringSubmatch(rev)
	if m == nil {
		return found, false, nil
	}
	steps, err := strconv.ParseUint(m[1], 10, 32)
	var at time.Time
	if err != nil {
		if at, err = parseMoment(m[1], time.Now()); err != nil {
			return found, true, status.Errorf(status.ErrInvalid, "%s: %w", rev, err)
		}
	}
	var before uint64
	for {
		page, err := d.options.Store.List(50, before)
		if err != nil {
			return found, true, err
		}
		if len(page) == 0 {
			return found, true, status.Errorf(status.ErrNotFound, "%s: nothing was applied then; podyard history lists what was", rev)
		}
		for _, r := range page {
			before = r.Number
			switch {
			case !r.WasApplied() || !at.IsZero() && r.Started.After(at):
			case at.IsZero() && steps > 0:
				steps--
			default:
				return r, true, nil
			}
		}
	}
}
