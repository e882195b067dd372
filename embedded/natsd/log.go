package natsd

import (
	"fmt"
	"sync"
)

// startLog keeps the server's last complaint, to say why it did not start.
type startLog struct {
	mu   sync.Mutex
	text string
	dead bool
}

// fatal reports whether the server gave up: it logs that and does not exit.
func (l *startLog) fatal() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *startLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == "" {
		return "no reason given"
	}
	return l.text
}

func (l *startLog) keep(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = fmt.Sprintf(format, args...)
}

// Errorf implements server.Logger, as the other methods do.
func (l *startLog) Errorf(format string, args ...any) { l.keep(format, args...) }

// Fatalf implements server.Logger.
func (l *startLog) Fatalf(format string, args ...any) {
	l.keep(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

// Warnf implements server.Logger.
func (l *startLog) Warnf(string, ...any) {}

// Noticef implements server.Logger.
func (l *startLog) Noticef(string, ...any) {}

// Debugf implements server.Logger.
func (l *startLog) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (l *startLog) Tracef(string, ...any) {}
