package deploy

import (
	"testing"
	"time"
)

func TestMomentsAreReadAsGitDoes(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 5, 3, 12, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"now": "2026-05-03T12:30:00+01:00", "yesterday": "2026-05-02T12:30:00+01:00", "Yesterday": "2026-05-02T12:30:00+01:00",
		"2 days ago": "2026-05-01T12:30:00+01:00", "1.hour.ago": "2026-05-03T11:30:00+01:00", "90 seconds ago": "2026-05-03T12:28:30+01:00",
		"3 weeks ago": "2026-04-12T12:30:00+01:00", "2 months ago": "2026-03-03T12:30:00+01:00", "1 year ago": "2025-05-03T12:30:00+01:00",
		"2026-05-01": "2026-05-01T00:00:00+01:00", "2026-05-01 18:30": "2026-05-01T18:30:00+01:00",
		"2026-05-01T18:30:05": "2026-05-01T18:30:05+01:00", "2026-05-01t18:30:05z": "2026-05-01T18:30:05Z",
		"tomorrow": "", "": "", "days ago": "", "2 fortnights ago": "", "1/5/2026": "",
	} {
		at, err := parseMoment(text, now)
		if got := at.Format(time.RFC3339); (err == nil) != (want != "") || want != "" && got != want {
			t.Errorf("%q is %s, %v; want %q", text, got, err, want)
		}
	}
}
