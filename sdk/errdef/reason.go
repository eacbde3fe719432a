package errdef

import "maps"

// Error is an error that a program can tell from others of its class. A kind that has reasons lists them
// and makes their errors (sdk/network/reasons.go); Reason, Fields and Text cross the borders with the class,
// also from inside other errors. The text is for logs and for callers that do not know the reason: one
// that speaks another product's language finds its words by Reason and Fields.
//
//	var e *errdef.Error
//	if errors.As(err, &e) && e.Reason == network.ReasonPortTaken { ... e.Fields[network.FieldHostPort] ... }
type Error struct {
	Class  error             // one of the classes
	Reason string            // of the kind's list, in capitals
	Fields map[string]string // by the kind's names of them; never changed
	Text   string            // what happened, without the class
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Class }

// The most that is taken of an error from the other side of a border.
const (
	maxFields   = 16
	maxFieldLen = 4096
)

// textField carries Text beside the fields: wrapped, it is only part of the message.
const textField = "text"

// toFields is what crosses a border.
func (e *Error) toFields() map[string]string {
	f := maps.Clone(e.Fields)
	if f == nil {
		f = map[string]string{}
	}
	f[textField] = e.Text
	return f
}

// fromFields is the way back. What is out of bounds is left out.
func fromFields(class error, reason string, fields map[string]string) *Error {
	if reason == "" || len(reason) > maxFieldLen || len(fields) > maxFields {
		return nil
	}
	e := &Error{Class: class, Reason: reason, Fields: map[string]string{}}
	for k, v := range fields {
		switch {
		case len(k) > maxFieldLen || len(v) > maxFieldLen:
		case k == textField:
			e.Text = v
		default:
			e.Fields[k] = v
		}
	}
	return e
}
