package scan

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/openvic/vic/sdk/internal/wire"
	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
)

// sender is the Sink that a plugin's driver sees: it sends parts in messages of bounded size.
type sender struct {
	send func(*scanv1.Part) error

	mu     sync.Mutex // held while sending; guards what follows
	ledger *ledger
	sent   time.Time
	err    error // the first; it stays, also if the driver goes on
}

var _ Sink = (*sender)(nil)

func newSender(l *ledger, send func(*scanv1.Part) error) *sender {
	return &sender{ledger: l, send: send, sent: time.Now()}
}

// do runs f, unless something failed before. A fault of what the driver gave is the driver's.
func (s *sender) do(f func() (fault, failed error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		fault, failed := f()
		s.err = errors.Join(wire.Answer(fault), failed)
		s.sent = time.Now()
	}
	return s.err
}

// Progress sends p.
func (s *sender) Progress(p Progress) error {
	return s.do(func() (error, error) {
		p, fault := s.ledger.progress(p)
		if fault != nil {
			return fault, nil
		}
		return nil, s.progress(p)
	})
}

func (s *sender) progress(p Progress) error {
	return s.send(&scanv1.Part{Part: &scanv1.Part_Progress{Progress: progressToWire(p)}})
}

// Findings sends f in as many messages as it needs.
func (s *sender) Findings(f []Finding) error {
	return s.do(func() (error, error) {
		if fault := s.ledger.found(f); fault != nil {
			return fault, nil
		}
		var batch []*scanv1.Finding
		size := 0
		flush := func() error {
			if len(batch) == 0 {
				return nil
			}
			err := s.send(&scanv1.Part{Part: &scanv1.Part_Findings{Findings: &scanv1.Findings{Findings: batch}}})
			batch, size = nil, 0
			return err
		}
		for _, one := range f {
			w := findingToWire(one)
			n := proto.Size(w) + 4 // and its tag and length
			if size+n > batchBytes {
				if err := flush(); err != nil {
					return nil, err
				}
			}
			batch, size = append(batch, w), size+n
		}
		return nil, flush()
	})
}

// Document sends data in as many messages as it needs.
func (s *sender) Document(format Want, data []byte) error {
	return s.do(func() (error, error) {
		if fault := s.ledger.document(format, len(data)); fault != nil {
			return fault, nil
		}
		_, err := wire.Write(data, func(p []byte) error {
			return s.send(&scanv1.Part{Part: &scanv1.Part_Document{Document: &scanv1.DocumentPiece{Want: wantToWire(format), Data: p}}})
		})
		return nil, err
	})
}

// finish sees that all is there that the report promises.
func (s *sender) finish(r Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return s.ledger.report(r)
}

// beats repeats the last progress whenever nothing was sent for a while, until stop is called or ctx
// ends. A send that is under way is life enough.
func (s *sender) beats(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !s.mu.TryLock() {
				continue
			}
			if s.err == nil && time.Since(s.sent) >= every {
				s.err = s.progress(s.ledger.last)
				s.sent = time.Now()
			}
			s.mu.Unlock()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
