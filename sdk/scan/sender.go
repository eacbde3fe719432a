package scan

import (
	"google.golang.org/protobuf/proto"

	"github.com/openvic/vic/sdk/internal/wire"
	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
)

// sender is the Sink that a plugin's driver sees: it sends parts in messages of bounded size.
type sender struct {
	wire.Outbound
	send   func(*scanv1.Part) error
	ledger *ledger // used within Do
}

var _ Sink = (*sender)(nil)

func newSender(l *ledger, send func(*scanv1.Part) error) *sender {
	return &sender{ledger: l, send: send}
}

// Progress sends p.
func (s *sender) Progress(p Progress) error {
	return s.Do(func() error {
		p, fault := s.ledger.progress(p)
		if fault != nil {
			return wire.Answer(fault)
		}
		return s.progress(p)
	})
}

func (s *sender) progress(p Progress) error {
	return s.send(&scanv1.Part{Part: &scanv1.Part_Progress{Progress: progressToWire(p)}})
}

// Findings sends f in as many messages as it needs.
func (s *sender) Findings(f []Finding) error {
	return s.Do(func() error {
		if fault := s.ledger.found(f); fault != nil {
			return wire.Answer(fault)
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
					return err
				}
			}
			batch, size = append(batch, w), size+n
		}
		return flush()
	})
}

// Document sends data in as many messages as it needs.
func (s *sender) Document(format Want, data []byte) error {
	return s.Do(func() error {
		if fault := s.ledger.document(format, len(data)); fault != nil {
			return wire.Answer(fault)
		}
		_, err := wire.Write(data, func(p []byte) error {
			return s.send(&scanv1.Part{Part: &scanv1.Part_Document{Document: &scanv1.DocumentPiece{Want: wantToWire(format), Data: p}}})
		})
		return err
	})
}

// finish sees that all is there that the report promises.
func (s *sender) finish(r Report) error {
	return s.Do(func() error { return s.ledger.report(r) })
}

// alive repeats the last progress.
func (s *sender) alive() error { return s.progress(s.ledger.last) }
