package scan

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
)

// receiver is the host's side of a stream of parts: it hands on what keeps the rules.
type receiver struct {
	ledger *ledger
	to     Sink
	in     *wire.Inbound
	stream grpc.ClientStream
}

// next receives one message; the end of the stream is too early for one.
func (r *receiver) next(recv func() error) error {
	err := r.in.Receive(r.stream, recv)
	if err == io.EOF { //nolint:errorlint // the end of the stream itself
		return fmt.Errorf("the plugin ended without an answer: %w", errdef.ErrInternal)
	}
	return err
}

// all receives parts until the report.
func (r *receiver) all(recv func() (*scanv1.Part, error)) (Report, error) {
	for {
		var part *scanv1.Part
		err := r.next(func() (err error) {
			part, err = recv()
			return err
		})
		if err != nil {
			return Report{}, err
		}
		switch p := part.GetPart().(type) {
		case *scanv1.Part_Report:
			return r.report(p.Report)
		case *scanv1.Part_Progress:
			err = r.progress(p.Progress)
		case *scanv1.Part_Findings:
			err = r.findings(p.Findings)
		case *scanv1.Part_Document:
			err = r.document(p.Document)
		default: // of a later version
			err = wire.Answer(errors.New("part: is none that this host knows"))
		}
		if err != nil {
			return Report{}, err
		}
	}
}

func (r *receiver) progress(w *scanv1.Progress) error {
	p, err := r.ledger.progress(progressFromWire(w))
	if err != nil {
		return wire.Answer(err)
	}
	return r.to.Progress(p)
}

func (r *receiver) findings(w *scanv1.Findings) error {
	list := wire.Map(w.GetFindings(), findingFromWire)
	if err := r.ledger.found(list); err != nil {
		return wire.Answer(err)
	}
	return r.to.Findings(list)
}

func (r *receiver) document(w *scanv1.DocumentPiece) error {
	format, data := wantFromWire(w.GetWant()), w.GetData()
	if err := r.ledger.document(format, len(data)); err != nil {
		return wire.Answer(err)
	}
	return r.to.Document(format, data)
}

func (r *receiver) report(w *scanv1.Report) (Report, error) {
	report := reportFromWire(w)
	if err := r.ledger.report(report); err != nil {
		return Report{}, wire.Answer(err)
	}
	if w.GetFindings() != r.ledger.findings || w.GetDocumentBytes() != r.ledger.bytes() {
		return Report{}, wire.Answer(fmt.Errorf("report: %d findings and %d bytes of documents came, the report has %d and %d",
			r.ledger.findings, r.ledger.bytes(), w.GetFindings(), w.GetDocumentBytes()))
	}
	return report, nil
}
