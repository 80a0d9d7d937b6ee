package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// streamError reads the engine's progress messages to their end and returns the error among them: a pull or an import
// answers 200 before it knows.
func streamError(messages io.Reader) error {
	decoder := json.NewDecoder(messages)
	for {
		var message struct {
			Error       string `json:"error"`
			ErrorDetail *struct {
				Message string `json:"message"`
			} `json:"errorDetail"`
		}
		err := decoder.Decode(&message)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the engine's progress: %w", err)
		case message.ErrorDetail != nil && message.ErrorDetail.Message != "":
			return errors.New(message.ErrorDetail.Message)
		case message.Error != "":
			return errors.New(message.Error)
		}
	}
}
