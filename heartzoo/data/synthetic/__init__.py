"""A generator of single-lead ECG recordings with annotated beats and rhythms, for demos and tests without a download.

A beat is a sum of Gaussian waves (:mod:`heartzoo.data.synthetic.waves`). The rhythm is a sinus rhythm with respiratory
and slow variation, or atrial fibrillation; premature beats are put into it with the timing physiology gives them: a
supraventricular beat resets the sinus node, so the next beat follows after about a normal interval; a ventricular beat
does not, so the pause after it makes up for what it was early. Nothing here is fitted to a recording of a person:
figures on this database say that the software works, not how well a model does on people.

References:
    McSharry, Clifford, Tarassenko and Smith 2003, IEEE Trans Biomed Eng 50(3):289-294.
"""

from heartzoo.data.synthetic.records import generate, write

__all__ = ["generate", "write"]
