package ingress

import (
	"log/slog"
	"time"

	"go.uber.org/zap/zapcore"
)

// listener takes certmagic's log of one host: all of it goes to the log of debugging, and failures to who keeps the state.
type listener struct {
	log    *slog.Logger
	host   string
	failed func(host, reason string, next time.Time)
	fields []zapcore.Field
}

// Enabled implements zapcore.LevelEnabler.
func (l *listener) Enabled(zapcore.Level) bool { return true }

// With implements zapcore.Core.
func (l *listener) With(fields []zapcore.Field) zapcore.Core {
	with := *l
	with.fields = append(append([]zapcore.Field(nil), l.fields...), fields...)
	return &with
}

// Check implements zapcore.Core.
func (l *listener) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(entry, l)
}

// Write implements zapcore.Core. The messages are those of certmagic's async.go and config.go.
func (l *listener) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range append(append([]zapcore.Field(nil), l.fields...), fields...) {
		f.AddTo(values)
	}
	reason, _ := values.Fields["error"].(string)
	l.log.Debug("certificate", "host", l.host, "step", entry.Message, "err", reason)
	if reason == "" {
		return nil
	}
	switch entry.Message {
	case "will retry":
		wait, _ := values.Fields["retrying_in"].(time.Duration)
		l.failed(l.host, reason, time.Now().Add(wait))
	case "job failed", "final attempt; giving up", "initiating certificate management":
		l.failed(l.host, reason, time.Time{})
	}
	return nil
}

// Sync implements zapcore.Core.
func (l *listener) Sync() error { return nil }
