// A dialog that asks for the reason of a change; the reason goes on the record.
import { useState, type ReactNode } from "react";
import { Button, Dialog, Heading, Label, Modal, ModalOverlay, TextArea, TextField } from "react-aria-components";

import { useWords } from "../language";
import { Broken } from "./base";
import { keepFocusSoon, say } from "./say";

export interface Ask {
  title: string;
  what: ReactNode;
  confirm: string;
  tone?: "good" | "bad";
  needed?: boolean;
  ready?: boolean; // whether what else is asked for is there
  done: (why: string) => Promise<unknown>;
}

export function Reason({ ask, close }: { ask: Ask | null; close: () => void }) {
  const { t } = useWords();
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const leave = () => {
    setWhy("");
    setError(null);
    close();
  };
  const send = async () => {
    setBusy(true);
    try {
      await ask!.done(why);
      leave();
      say(t("said.done", { what: ask!.title }));
      keepFocusSoon(); // what opened the dialog may have gone with what was decided
    } catch (thrown) {
      setError(thrown as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <ModalOverlay className="overlay" isOpen={ask !== null} onOpenChange={(open) => !open && leave()} isDismissable>
      <Modal className="modal">
        <Dialog>
          {ask && (
            <form
              onSubmit={(event) => {
                event.preventDefault();
                void send();
              }}
            >
              <Heading slot="title">{ask.title}</Heading>
              <div className="what">{ask.what}</div>
              <TextField value={why} onChange={setWhy} isRequired={ask.needed ?? true} maxLength={1000} autoFocus>
                <Label>{t("reason")}</Label>
                <TextArea rows={3} placeholder={t("reason.hint")} />
              </TextField>
              {error && <Broken error={error} />}
              <div className="actions">
                <Button type="button" className="plain" onPress={leave}>
                  {t("cancel")}
                </Button>
                <Button type="submit" className={`primary ${ask.tone ?? ""}`} isDisabled={busy || ask.ready === false || ((ask.needed ?? true) && !why.trim())}>
                  {ask.confirm}
                </Button>
              </div>
            </form>
          )}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
