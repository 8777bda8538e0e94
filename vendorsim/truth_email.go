package vendorsim

import "net/mail"

// EmailTruth is one e-mail that was really sent.
type EmailTruth struct {
	ID             string            `json:"id"`
	From           string            `json:"from"`
	To             []string          `json:"to"`
	Cc             []string          `json:"cc,omitempty"`
	Bcc            []string          `json:"bcc,omitempty"`
	Subject        string            `json:"subject"`
	Tags           map[string]string `json:"tags,omitempty"`
	IdempotencyKey string            `json:"idempotency_key"`
	Item           string            `json:"item,omitempty"` // its place in a batch, from 0
	Created        int64             `json:"created"`        // Unix seconds by the stand-in's clock
}

// recipients are the bare addresses of all who got the e-mail.
func (e EmailTruth) recipients() []string {
	var all []string
	for _, list := range [][]string{e.To, e.Cc, e.Bcc} {
		for _, text := range list {
			if a, err := mail.ParseAddress(text); err == nil {
				text = a.Address
			}
			all = append(all, text)
		}
	}
	return all
}

func (j *journal) emailed(e EmailTruth) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.emails = append(j.emails, e)
}

// addEmails counts e-mails and those who got them.
func (t *Truth) addEmails(emails []EmailTruth) {
	t.Emails, t.Emailed, t.EmailsPerRecipient = len(emails), emails, map[string]int{}
	for _, e := range emails {
		for _, recipient := range e.recipients() {
			t.EmailRecipients++
			t.EmailsPerRecipient[recipient]++
		}
	}
}
